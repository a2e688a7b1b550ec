module kata_vfio/bench/go_qemu

go 1.21

require github.com/digitalocean/go-qemu v0.0.0-20250212194115-ee9b0668d242
