# Lists the names that names.sh speaks of, each with the files in which it stands.
function note(kind, name) {
    if (!((kind, name, FILENAME) in seen)) {
        seen[kind, name, FILENAME] = 1
        count[kind, name]++
        where[kind, name] = where[kind, name] " " FILENAME
    } else if (kind == "tag") {
        count[kind, name]++
        where[kind, name] = where[kind, name] " " FILENAME
    }
}
/^static / && FILENAME ~ /\.c$/ && !/^static (inline|_Static_assert)/ {
    line = $0
    gsub(/__attribute__\(\([^)]*\)+/, "", line)
    if (match(line, /[A-Za-z_0-9]+[ ]*[(\[=;]/)) {
        name = substr(line, RSTART, RLENGTH)
        gsub(/[^A-Za-z_0-9]/, "", name)
        if (name != "" && name !~ /^[0-9]/) note("static", name)
    }
}
# An object of an unnamed structure: its name stands behind the closing brace.
/^} [a-z_0-9]+(\[[^]]*\])* = \{/ && FILENAME ~ /\.c$/ { name = $2; sub(/\[.*/, "", name); note("static", name) }
/^[ \t]*(typedef )?(struct|union|enum) [a-z_A-Z0-9]+ \{/ {
    name = $0
    sub(/^[ \t]*(typedef )?/, "", name)
    sub(/ \{.*/, "", name)
    note("tag", name)
}
END {
    for (key in count)
        if (count[key] > 1) {
            split(key, part, SUBSEP)
            printf "%s %s:%s\n", part[1], part[2], where[key]
        }
}
