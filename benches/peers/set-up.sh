# What benches/run and benches/instructions share: a folder, keys, a backend, and proxies in front of it.
# Reads: binary, keys, proxies. Sets: dir, running, pids, ports, load_core, proxy_core.

declare -A pids ports
running=()
proxy_core=0 load_core=1
[ "$(nproc)" -gt 1 ] || { echo "two cores are needed" >&2; exit 1; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/relevo-bench.XXXXXX")
chmod 755 "$dir"
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
backend_port=${BENCH_PORT:-19000}
envoy=${ENVOY:-$(command -v envoy || true)}

# `name template` → the file of that name in $dir, its places filled in.
fill() {
    sed -e "s|@DIR@|$dir|g" -e "s|@BACKEND@|$backend_port|g" -e "s|@PORT@|${ports[$1]:-0}|g" \
        -e "/@CREDENTIALS@/{r $dir/envoy.keys
d}" -e "s|@STORE@|$dir/$1|g" "benches/peers/$2" >"$dir/$1.${2##*.}"
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
    mkdir "$dir/www"
    index --build "$dir/store.redb" "$keys"
    head -c 16384 /dev/zero | tr '\0' x >"$dir/www/16k"
    head -c 1048576 /dev/zero | tr '\0' x >"$dir/www/1m"
}

# What runs proxy `name`, given its configuration.
command_of() {
    case $1 in
        nginx) echo "nginx -p $dir -c $dir/nginx.conf" ;;
        haproxy) echo "haproxy -q -db -f $dir/haproxy.cfg" ;;
        envoy) echo "$envoy -c $dir/envoy.yaml --concurrency 1 -l off" ;;
        relevo | before) echo "$([ "$1" = relevo ] && echo "$binary" || echo "$before") serve --config $dir/$1.toml" ;;
    esac
}

template_of() {
    case $1 in nginx) echo nginx.conf ;; haproxy) echo haproxy.cfg ;; envoy) echo envoy.yaml ;; relevo | before) echo relevo.toml ;; esac
}

is_there() {
    case $1 in
        envoy) [ -n "$envoy" ] ;;
        relevo) [ -x "$binary" ] ;;
        before) [ -x "$before" ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# `url token` → the status of an answer, once there is one.
answer() {
    curl -s -o /dev/null -m 5 -w '%{http_code}' -H "X-API-Key: $2" "$1" || true
}

# Starts proxy `name`, under the words after it if there are any, and asks it one good and one bad question.
start_proxy() {
    local name=$1 token stranger url
    shift
    fill "$name" "$(template_of "$name")"
    mkdir "$dir/$name" && cp "$dir/store.redb" "$dir/$name/relevo.redb"
    # shellcheck disable=SC2046
    XDG_RUNTIME_DIR=$dir taskset -c "$proxy_core" "$@" $(command_of "$name") >"$dir/$name.out" 2>"$dir/$name.log" &
    pids[$name]=$!
    read -r token _ <"$dir/tokens"
    read -r stranger _ <"$dir/strangers"
    url=http://127.0.0.1:${ports[$name]}/small
    for _ in $(seq 300); do
        [ "$(answer "$url" "$token")" = 200 ] && break
        sleep 0.2
    done
    if [ "$(answer "$url" "$token")" != 200 ] || [ "$(answer "$url" "$stranger")" != 401 ]; then
        echo "$name does not do its job:" >&2
        cat "$dir/$name.log" >&2
        exit 1
    fi
}

start_backend() {
    fill backend backend.conf
    taskset -c "$load_core" nginx -p "$dir" -c "$dir/backend.conf" 2>"$dir/backend.log" &
    pids[backend]=$!
}

# Everything, once.
start_all() {
    make_keys
    start_backend
    local name port=$backend_port
    for name in ${proxies//,/ }; do
        port=$((port + 1))
        ports[$name]=$port
        if is_there "$name"; then
            start_proxy "$name"
            running+=("$name")
        else
            echo "$name is not here and is left out" >&2
        fi
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
