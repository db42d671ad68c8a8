# Rounds → a table: median and range of CPU µs a request, and the median of the paired ratios to nginx; for `two`, to the
# same proxy's `small`. For `paced` it is the p99 instead.
# A round: number case proxy cpu_us rate p50_us p99_us backend_percent

function median(list, count,    i, j, swap) {
    for (i = 2; i <= count; i++)
        for (j = i; j > 1 && list[j - 1] > list[j]; j--) { swap = list[j]; list[j] = list[j - 1]; list[j - 1] = swap }
    return count % 2 ? list[(count + 1) / 2] : (list[count / 2] + list[count / 2 + 1]) / 2
}

{ cpu[$2, $3, $1] = $2 == "paced" ? $7 : $4; if ($1 > last) last = $1 }

END {
    count = split(order, proxies, " ")
    line = "| CPU µs a request (range); ratio to nginx |"; rule = "|---|"
    for (i = 1; i <= count; i++) { line = line " " proxies[i] " |"; rule = rule "---|" }
    print line; print rule
    number = split(cases, names, " ")
    for (c = 1; c <= number; c++) {
        name = names[c]
        if (name == "two") name = "two; ratio to `small`"
        if (name == "paced") name = "paced: p99 in µs at " rate " a second"
        line = "| " name " |"
        for (i = 1; i <= count; i++) {
            delete times; delete ratios
            n = m = 0
            for (r = 1; r <= last; r++) {
                if (!((names[c], proxies[i], r) in cpu)) continue
                times[++n] = cpu[names[c], proxies[i], r]
                other = names[c] == "two" ? "small" SUBSEP proxies[i] SUBSEP r : names[c] SUBSEP "nginx" SUBSEP r
                if (other in cpu) ratios[++m] = times[n] / cpu[other]
            }
            if (!n) { line = line " – |"; continue }
            middle = median(times, n)
            form = names[c] == "paced" ? "%.0f (%.0f–%.0f)" : "%.2f (%.2f–%.2f)"
            cell = sprintf(form, middle, times[1], times[n])
            if (m) cell = cell sprintf("; **%.2f**", median(ratios, m))
            line = line " " cell " |"
        }
        print line
    }
}
