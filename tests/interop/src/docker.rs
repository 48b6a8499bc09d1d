//! [`Docker`]: what stands where `docker` is called. `docker run` runs the built binary of this workbench, in a
//! root of its own with the mounts that it was given and an environment of the variables that it was given.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::Workbench;

/// It knows the flags that are used, and no others. What a container has of itself (a program and its libraries,
/// `/proc`, `/dev`) is mounted too. It notes what it was asked for.
const PROGRAM: &str = r#"#!/usr/bin/env bash
set -euo pipefail
here="$(dirname "$0")"
printf '%s\n' "$@" >"$here/arguments"
[ "$1" = run ] && shift
variables=() volumes=() hardened=()
while [[ "$1" == -* ]]; do
    case "$1" in
    --rm | --user="$(id -u):$(id -g)") ;;
    --read-only | --cap-drop=ALL | --security-opt=no-new-privileges) hardened+=("$1") ;;
    --volume=*) volumes+=("${1#*=}") ;;
    --env=*=*) variables+=("${1#*=}") ;;
    --env=*)
        name="${1#*=}"
        [ -z "${!name+set}" ] || variables+=("$name=${!name}")
        ;;
    *)
        echo "docker: unknown flag: $1" >&2
        exit 125
        ;;
    esac
    shift
done
[ "${#hardened[@]}" -eq 3 ] || { echo "docker: not hardened" >&2; exit 125; }
shift
printf '%s\0' "${variables[@]}" >"$here/variables"
mkdir -p "$here/root"
exec unshare --mount bash -euc '
    here="$1" count="$2" root="$1/root"
    shift 2
    mount -t tmpfs tmpfs "$root"
    for place in /bin /lib /lib64; do
        [ ! -L "$place" ] || cp -P "$place" "$root/"
    done
    bind() {
        if [ -d "$1" ]; then mkdir -p "$root$2"
        elif [ ! -e "$root$2" ]; then mkdir -p "$(dirname "$root$2")"; : >"$root$2"; fi
        mount --rbind "$1" "$root$2"
        [ "${3:-ro}" != ro ] || mount -o remount,bind,ro "$root$2"
    }
    for place in /usr /lib /lib64; do
        [ -L "$place" ] || [ ! -e "$place" ] || bind "$place" "$place"
    done
    bind /proc /proc rw
    bind /dev /dev rw
    bind "$(realpath "$here/image-syncer")" /image-syncer
    variables=()
    while [ "$count" -gt 0 ]; do variables+=("$1"); shift; count=$((count - 1)); done
    while [ "$1" != -- ]; do
        IFS=: read -r outside inside mode <<<"$1"
        bind "$outside" "$inside" "${mode:-rw}"
        shift
    done
    shift
    mount -o remount,ro "$root"
    exec env -i "${variables[@]}" "$(command -v chroot)" "$root" /image-syncer "$@"
' docker "$here" "${#variables[@]}" "${variables[@]}" "${volumes[@]}" -- "$@"
"#;

/// A folder with a program `docker`.
#[derive(Debug)]
pub struct Docker {
    folder: PathBuf,
}

impl Docker {
    /// Where `docker run` runs the binary of this workbench.
    pub fn of(bench: &Workbench) -> Self {
        let folder = bench.folder().join("docker-program");
        std::fs::create_dir(&folder).unwrap();
        let program = folder.join("docker");
        std::fs::write(&program, PROGRAM).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        symlink(bench.binary(), folder.join("image-syncer")).unwrap();
        Self { folder }
    }

    /// The value of `PATH` with which it is found first.
    pub fn path(&self) -> String {
        format!("{}:{}", self.folder.display(), std::env::var("PATH").unwrap())
    }

    /// The command line of the last call.
    pub fn arguments(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("arguments")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The variables that the last program had.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(self.folder.join("variables")).unwrap();
        let pairs = text.split_terminator('\0').map(|pair| pair.split_once('=').unwrap());
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}
