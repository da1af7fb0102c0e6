#!/bin/sh
# Installs a package, runs the node as its service would, lets it start anew, upgrades, removes and purges it: in a copy of this
# machine's root that is thrown away (an overlay in memory). Needs root: debian/try.sh dist/allium_*.deb
set -eu

if [ "${1-}" != inside ]; then
    package=$(readlink -f "$1")
    here=$(mktemp -d)
    mount -t tmpfs tmpfs "$here"
    trap 'umount "$here"; rmdir "$here"' EXIT
    mkdir "$here/up" "$here/work" "$here/root"
    unshare --mount --pid --fork sh -euc '
        mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
        mkdir -p "$1/root/dev" "$1/root/try"
        mount --rbind /dev "$1/root/dev"
        mount -t proc proc "$1/root/proc"
        cp "$2" "$1/root/try/try.sh"
        cp "$3" "$1/root/try/allium.deb"
        exec chroot "$1/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh /try/try.sh inside
    ' sh "$here" "$0" "$package"
    exit
fi

say() { echo "== $*"; }
gone() { for path; do if [ -e "$path" ]; then echo "$path is still there"; exit 1; fi; done; }
as_node() { runuser -u allium -- "$@"; }
ask() {
    /usr/bin/python3 -c "
import ssl, urllib.request
request = urllib.request.Request('https://127.0.0.1:32021/storage_rpc/v1', b'{\"method\":\"info\",\"params\":{}}')
print(urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=60).read().decode())"
}
await() { # until the log has said it so many times
    for _ in $(seq 240); do
        [ "$(grep -c "$1" /try/log)" -ge "$2" ] && return
        sleep 0.25
    done
    cat /try/log
    exit 1
}

say install
dpkg -i /try/allium.deb
allium --version
[ "$(stat -c '%a %U:%G' /etc/allium/config.toml)" = "640 root:allium" ]
[ "$(stat -c '%a %U:%G' /var/lib/allium)" = "700 allium:allium" ]
if command -v systemd-analyze >/dev/null; then
    systemd-analyze verify /usr/lib/systemd/system/allium.service /usr/lib/systemd/system/allium-files.service \
        /usr/lib/systemd/system/allium-push.service
fi

say run
as_node allium node init --data-dir /var/lib/allium/new --network-file /var/lib/allium/network.json \
    --https-port 32021 --omq-port 32020 >/try/keys
field() { sed -n "s/^$1 key *//p" /try/keys; }
printf '{"height":1,"hardfork":[19,4],"nodes":[{"pubkey_legacy":"%s","pubkey_ed25519":"%s","pubkey_x25519":"%s",
"ip":"127.0.0.1","https_port":32021,"omq_port":32020,"swarm_id":0}]}' \
    "$(field legacy)" "$(field Ed25519)" "$(field X25519)" >/var/lib/allium/network.json
chmod 644 /var/lib/allium/network.json
sed 's|^data_dir.*|data_dir = "/var/lib/allium/new"|; s|^#metrics_port.*|metrics_port = ""|' \
    /var/lib/allium/new/config.toml >/etc/allium/config.toml
as_node allium node run --config /etc/allium/config.toml >/try/log 2>&1 &
await "network in force" 1
ask

say start anew
pid=$(cat /var/lib/allium/new/pid)
as_node allium node restart --data-dir /var/lib/allium/new
ask
await "network in force" 2
[ "$(cat /var/lib/allium/new/pid)" = "$pid" ]
ask
kill "$pid"
wait

say files
as_node allium files init --data-dir /var/lib/allium/files --http-port 32028 >/try/files-key
sed 's|^#http_port.*|http_port = 32028|; s|^#metrics_port.*|metrics_port = ""|' /etc/allium/files.toml >/try/files.toml
cat /try/files.toml >/etc/allium/files.toml
as_node allium files serve --config /etc/allium/files.toml >/try/files-log 2>&1 &
files=$!
for _ in $(seq 240); do grep -q serving /try/files-log && break; sleep 0.25; done
/usr/bin/python3 -c "
import json, urllib.request
told = json.load(urllib.request.urlopen('http://127.0.0.1:32028/file', b'a file', timeout=60))
assert urllib.request.urlopen('http://127.0.0.1:32028/file/' + told['id'], timeout=60).read() == b'a file'"
kill "$(cat /var/lib/allium/files/pid)"
wait "$files" # it ends well

say push
as_node allium push init --data-dir /var/lib/allium/push --http-port 32029 --webpush-contact mailto:a@b.example >/try/push-key
sed 's|^#http_port.*|http_port = 32029|; s|^#metrics_port.*|metrics_port = ""|;
     s|^#webpush_contact.*|webpush_contact = "mailto:a@b.example"|' /etc/allium/push.toml >/try/push.toml
cat /try/push.toml >/etc/allium/push.toml
as_node allium push serve --config /etc/allium/push.toml >/try/push-log 2>&1 &
push=$!
for _ in $(seq 240); do grep -q serving /try/push-log && break; sleep 0.25; done
/usr/bin/python3 -c "
import json, urllib.request
told = json.load(urllib.request.urlopen('http://127.0.0.1:32029/services', timeout=60))
assert told['services'] == ['unifiedpush', 'webpush'] and told['vapid']"
kill "$(cat /var/lib/allium/push/pid)"
wait "$push"

say upgrade
dpkg -i /try/allium.deb
grep -q 32021 /etc/allium/config.toml

say remove
dpkg -r allium
gone /usr/bin/allium /usr/lib/allium /usr/lib/systemd/system/allium.service /usr/lib/systemd/system/allium-files.service \
    /usr/lib/systemd/system/allium-push.service
[ -e /etc/allium/config.toml ]

say purge
dpkg -P allium
gone /etc/allium
[ -e /var/lib/allium/new/key_ed25519 ]
say all is well
