import numpy as np

from pipeline.world.camera import Camera, ray_directions, rotations_of, to_camera, to_pixels


def camera(yaw: float = 0.3, pitch: float = -0.1, roll: float = 0.05) -> Camera:
    return Camera(
        height=11,
        width=17,
        focal=14.0,
        positions=np.array([[1.0, 1.5, -2.0]], np.float32),
        rotations=rotations_of(np.array([yaw]), np.array([pitch]), np.array([roll])),
    )


def test_level_camera_looks_along_z_with_x_right_and_y_down() -> None:
    axes = camera(0, 0, 0).rotations[0]

    np.testing.assert_allclose(axes[:, 0], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(axes[:, 1], [0, -1, 0], atol=1e-6)
    np.testing.assert_allclose(axes[:, 2], [0, 0, 1], atol=1e-6)


def test_positive_yaw_turns_right_and_positive_pitch_up() -> None:
    forward = camera(0.2, 0.1, 0).rotations[0][:, 2]

    assert forward[0] > 0
    assert forward[1] > 0


def test_rotations_are_orthonormal() -> None:
    rotation = camera().rotations[0].astype(np.float64)

    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-6)


def test_points_along_rays_project_to_their_pixels_at_their_depth() -> None:
    view = camera()
    depth = np.random.default_rng(0).uniform(1, 90, (11, 17)).astype(np.float32)

    rays = np.moveaxis(ray_directions(view, 0, 1.0), 0, -1)
    seen = to_camera(view.positions[0] + depth[..., None] * rays, view, 0)
    pixels = to_pixels(seen, view)

    columns, rows = np.meshgrid(np.arange(17), np.arange(11))
    np.testing.assert_allclose(seen[..., 2], depth, rtol=1e-5)
    np.testing.assert_allclose(pixels, np.stack([columns, rows], -1), atol=1e-3)


def test_every_second_half_pixel_ray_is_a_pixel_centre() -> None:
    fine, coarse = (ray_directions(camera(), 0, step) for step in (0.5, 1.0))

    np.testing.assert_array_equal(fine[:, ::2, ::2], coarse)
