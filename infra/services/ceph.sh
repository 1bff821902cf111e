# shellcheck shell=bash
# S3 from Ceph: one monitor, one object store daemon, one RADOS Gateway, each in the foreground.

CEPH_BUCKETS=(shards runs mlflow)

ceph_up() {
  local conf=$FOLDER/ceph/ceph.conf port
  port=$(state port s3 "$(state get address)")
  [[ -e $conf ]] || ceph_make
  if ! pid_of ceph-mon >/dev/null; then
    start ceph-mon ceph-mon -f -c "$conf" -i a
    wait_for ceph-mon 60 ceph -c "$conf" --connect-timeout 5 mon stat
  fi
  if ! pid_of ceph-osd >/dev/null; then
    [[ -e $FOLDER/ceph/osd.0/ready ]] || ceph_make_osd
    start ceph-osd ceph-osd -f -c "$conf" -i 0
  fi
  if ! pid_of radosgw >/dev/null; then
    start radosgw radosgw -f -c "$conf" -n client.rgw
    wait_for radosgw 90 curl -sf -o /dev/null "http://$(state get address):$port/"
  fi
  [[ -e $FOLDER/secrets/s3.json ]] || ceph_make_user
}

ceph_down() {
  stop radosgw
  stop ceph-osd
  stop ceph-mon
}

ceph_make() {
  local d=$FOLDER/ceph id mon
  id=$(cat /proc/sys/kernel/random/uuid)
  mon=$(state port ceph-mon 127.0.0.1)
  mkdir -p "$d"/{run,log,mon.a,osd.0,crash}
  ceph_conf "$d" "$id" "$mon" >"$d/ceph.conf"
  ceph-authtool --create-keyring "$d/keyring" --gen-key -n mon. --cap mon 'allow *' >/dev/null
  ceph-authtool "$d/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' \
    --cap mgr 'allow *' >/dev/null
  ceph-authtool "$d/keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' \
    --cap osd 'allow *' >/dev/null
  ceph-authtool "$d/keyring" --gen-key -n client.rgw --cap mon 'allow *' --cap osd 'allow *' \
    >/dev/null
  monmaptool --create --clobber --addv a "[v2:127.0.0.1:$mon]" --fsid "$id" "$d/monmap" >/dev/null
  ceph-mon -c "$d/ceph.conf" --mkfs -i a --monmap "$d/monmap" --keyring "$d/keyring"
}

ceph_make_osd() {
  local d=$FOLDER/ceph id
  id=$(cat /proc/sys/kernel/random/uuid)
  ceph -c "$d/ceph.conf" --connect-timeout 30 osd new "$id" >/dev/null
  ceph-osd -c "$d/ceph.conf" -i 0 --mkfs --osd-uuid "$id" >>"$FOLDER/log/ceph-osd.log" 2>&1
}

# The key pair is made by Ceph and read from its answer, so that no process list shows it.
ceph_make_user() {
  local new=$FOLDER/secrets/s3.new
  install -m 600 /dev/null "$new"
  radosgw-admin -c "$FOLDER/ceph/ceph.conf" user create --uid=mila --display-name=mila \
    >"$new" 2>>"$FOLDER/log/radosgw-admin.log"
  write_environment "$new"
  with_environment python "$HERE/check_s3.py" "${CEPH_BUCKETS[@]}"
  mv "$new" "$FOLDER/secrets/s3.json"
}

ceph_conf() { # FOLDER FSID MON_PORT
  cat <<C
[global]
fsid = $2
mon host = [v2:127.0.0.1:$3/0]
mon initial members = a
ms bind ipv4 = true
ms bind msgr1 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon warn on pool no redundancy = false
mon data avail warn = 2
mon data avail crit = 1
mon osd full ratio = .97
mon osd backfillfull ratio = .96
mon osd nearfull ratio = .95
run dir = $1/run
log file = $1/log/\$name.log
admin socket = $1/run/\$name.asok
pid file = $1/run/\$name.pid
keyring = $1/keyring
crash dir = $1/crash
[mon]
mon data = $1/mon.a
[osd]
osd data = $1/osd.\$id
osd objectstore = bluestore
bluestore block size = 10737418240
bluestore block create = true
bluestore block wal create = false
bluestore block db create = false
osd memory target = 939524096
osd class dir = /usr/lib/x86_64-linux-gnu/rados-classes
[client.rgw]
rgw frontends = beast endpoint=$(state get address):$(state port s3 "$(state get address)")
rgw thread pool size = 32
C
}
