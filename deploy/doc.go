// Package deploy checks what is shipped for running the fleet: the image, the
// compose file, the systemd units, the examples and the tasks.
package deploy
