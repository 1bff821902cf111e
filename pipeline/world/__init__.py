"""The procedural street: layout, motion and camera, rendered to images with exact labels."""
