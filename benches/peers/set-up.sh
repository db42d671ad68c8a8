# What benches/run and benches/instructions share: a folder, keys, a backend, and proxies in front of it.
# Reads: binary, keys, proxies. Sets: dir, running, pids, ports, load_core, proxy_core.
#
# A proxy has three ports in a row: HTTP/1.1, TLS, HTTP/2 in clear. `NAME-log` is proxy NAME with its access log on,
# `NAME-two` with two workers on both cores.

declare -A pids ports
running=()
proxy_core=0 load_core=1
[ "$(nproc)" -gt 1 ] || { echo "two cores are needed" >&2; exit 1; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/relevo-bench.XXXXXX")
chmod 755 "$dir"
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
backend_port=${BENCH_PORT:-19000}
envoy=${ENVOY:-$(command -v envoy || true)}

# `name template` → the file of that name in $dir, its places filled in. Of two lines that end in `# quiet` and
# `# logging`, a proxy gets one.
fill() {
    local port=${ports[$1]:-0} other=logging workers=1
    [[ $1 != *-log ]] || other=quiet
    [[ $1 != *-two ]] || workers=2
    sed -e "/# $other\$/d" -e "s|@DIR@|$dir|g" -e "s|@NAME@|$1|g" -e "s|@BACKEND@|$backend_port|g" \
        -e "s|@PORT@|$port|g" -e "s|@TLS@|$((port + 1))|g" -e "s|@HTTP2@|$((port + 2))|g" -e "s|@WORKERS@|$workers|g" \
        -e "/@CREDENTIALS@/{r $dir/envoy.keys
d}" "benches/peers/$2" >"$dir/$1.${2##*.}"
}

# The program of benches/index: $INDEX_BENCH, or built for the occasion.
index() {
    if [ -n "${INDEX_BENCH:-}" ]; then "$INDEX_BENCH" "$@"; else cargo bench -q --bench index -- "$@"; fi
}

make_keys() {
    index --tokens "$keys" >"$dir/tokens"
    sed 's/^rlv_\(.\)/abc_\1/' "$dir/tokens" >"$dir/strangers"
    sed 's/$/;/' "$dir/tokens" >"$dir/nginx.map"
    cp "$dir/tokens" "$dir/haproxy.map"
    awk '{ printf "                        - { key: \"%s\", client: \"%s\" }\n", $1, $2 }' "$dir/tokens" >"$dir/envoy.keys"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
        -keyout "$dir/tls.key" -out "$dir/tls.pem" 2>"$dir/openssl.log"
    cat "$dir/tls.pem" "$dir/tls.key" >"$dir/tls.both"
    mkdir "$dir/www"
    index --build "$dir/store.redb" "$keys"
    head -c 16384 /dev/zero | tr '\0' x >"$dir/www/16k"
    head -c 1048576 /dev/zero | tr '\0' x >"$dir/www/1m"
}

# What runs proxy `name`, given its configuration.
command_of() {
    case $1 in
        nginx*) echo "nginx -p $dir -c $dir/$1.conf" ;;
        haproxy*) echo "haproxy -db -f $dir/$1.cfg" ;;
        envoy*) echo "$envoy -c $dir/$1.yaml --concurrency 1 --base-id $((ports[$1] % 1000)) -l off" ;;
        relevo*) echo "$binary serve --config $dir/$1.toml" ;;
        before*) echo "$before serve --config $dir/$1.toml" ;;
    esac
}

template_of() {
    case $1 in nginx*) echo nginx.conf ;; haproxy*) echo haproxy.cfg ;; envoy*) echo envoy.yaml ;; *) echo relevo.toml ;; esac
}

is_there() {
    case $1 in
        envoy*) [ -n "$envoy" ] ;;
        relevo*) [ -x "$binary" ] ;;
        before*) [ -x "$before" ] ;;
        *) command -v "${1%-log}" >/dev/null ;;
    esac
}

# `name protocol` → the address at which proxy `name` speaks it: `http`, `tls` or `h2`.
url_of() {
    case $2 in
        http) echo "http://127.0.0.1:${ports[$1]}" ;;
        tls) echo "https://127.0.0.1:$((ports[$1] + 1))" ;;
        h2) echo "http://127.0.0.1:$((ports[$1] + 2))" ;;
    esac
}

# `name protocol token` → the version and status of an answer, once there is one.
answer() {
    local how=()
    case $2 in tls) how=(--insecure --tlsv1.3 --http1.1) ;; h2) how=(--http2-prior-knowledge) ;; esac
    curl -s -o /dev/null -m 5 -w '%{http_version} %{http_code}' "${how[@]}" -H "X-API-Key: $3" "$(url_of "$1" "$2")/small" || true
}

# Whether proxy `name` does its job: one good and one bad question at each of its ports.
does_its_job() {
    local protocol version token stranger
    read -r token _ <"$dir/tokens"
    read -r stranger _ <"$dir/strangers"
    for protocol in http tls h2; do
        version=1.1
        [ $protocol != h2 ] || version=2
        [ "$(answer "$1" $protocol "$token"), $(answer "$1" $protocol "$stranger")" = "$version 200, $version 401" ] || return 1
    done
}

# Starts proxy `name`, under the words after it if there are any, and asks it some questions.
start_proxy() {
    local name=$1 cores=$proxy_core
    shift
    [[ $name != *-two ]] || cores=$proxy_core,$load_core
    fill "$name" "$(template_of "$name")"
    mkdir "$dir/$name" && cp "$dir/store.redb" "$dir/$name/relevo.redb"
    # shellcheck disable=SC2046
    XDG_RUNTIME_DIR=$dir taskset -c "$cores" "$@" $(command_of "$name") >"$dir/$name.out" 2>"$dir/$name.err" &
    pids[$name]=$!
    for _ in $(seq 300); do
        ! does_its_job "$name" || return 0
        sleep 0.2
    done
    echo "$name does not do its job:" >&2
    cat "$dir/$name.err" >&2
    exit 1
}

start_backend() {
    fill backend backend.conf
    taskset -c "$load_core" nginx -p "$dir" -c "$dir/backend.conf" 2>"$dir/backend.log" &
    pids[backend]=$!
}

# Everything, once, and each proxy once more for each of these variants; only Relevo comes in two workers.
start_all() {
    make_keys
    start_backend
    local name variant port=$backend_port names=()
    for name in ${proxies//,/ }; do
        if is_there "$name"; then
            running+=("$name")
        else
            echo "$name is not here and is left out" >&2
        fi
    done
    names=("${running[@]}")
    for variant; do
        for name in "${running[@]}"; do
            [[ $variant = -two && $name != relevo && $name != before ]] || names+=("$name$variant")
        done
    done
    for name in "${names[@]}"; do
        port=$((port + 3))
        ports[$name]=$port
        start_proxy "$name"
    done
}

versions() {
    local said=()
    for name in "${running[@]}"; do
        case $name in
            nginx) said+=("nginx $(nginx -v 2>&1 | sed 's|.*/||')") ;;
            haproxy) said+=("HAProxy $(haproxy -v | sed -n '1s/.*version \([0-9.]*\).*/\1/p')") ;;
            envoy) said+=("Envoy $("$envoy" --version | sed -n 's|.*/\([0-9][0-9.]*\)/.*|\1|p')") ;;
            relevo) said+=("Relevo $("$binary" --version | sed 's/.* //')") ;;
        esac
    done
    local IFS=,
    echo "${said[*]}" | sed 's/,/, /g'
}

# `name`: puts $dir/page into docs/performance.md between the marks of benches/name.
put_page() {
    awk -v page="$dir/page" -v begin="<!-- benches/$1 -->" -v end="<!-- end of benches/$1 -->" '
        $0 == end { skip = 0 }
        !skip { print }
        $0 == begin { print ""; while ((getline line < page) > 0) print line; print ""; skip = 1 }
    ' docs/performance.md >"$dir/written"
    cp "$dir/written" docs/performance.md
}
