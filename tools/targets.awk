# Lists what `make` can make, out of the Makefile and the applications' declarations (services/*/application.yml).
# With `wanted`, it prints nothing and fails where that is none of them. Nothing but awk is needed: it runs before .venv exists.
# Of a declaration it reads `commands:` with NAME: and help: each on a line of its own, as tests/unit/test_makefile.py asks of all.
function add(name) {
  names = names (names ? ", " : "") name
  if (name == wanted) found = 1
}
FNR == 1 { declaration = FILENAME ~ /application\.yml$/; commands = 0 }
!declaration && /^\.PHONY:/ { for (i = 2; i <= NF; i++) add($i) }
!declaration && !wanted && /^##@/ { printf "\n%s\n", substr($0, 5) }
!declaration && !wanted && /^[a-z]+(-docs)?:.*## / {
  printf "  make %-12s %s\n", substr($0, 1, index($0, ":") - 1), substr($0, index($0, "## ") + 3)
}
declaration && /^[^ #]/ { commands = /^commands:/ }
declaration && commands && /^  [a-z][a-z0-9-]*:/ {
  name = substr($1, 1, length($1) - 1)
  add(name)
  if (!wanted && last != FILENAME) {
    application = FILENAME
    sub(/\/application\.yml$/, "", application)
    sub(/.*\//, "", application)
    printf "\nCommands of the application %s\n", application
    last = FILENAME
  }
}
declaration && commands && !wanted && /^    help:/ {
  help = $0
  sub(/^    help: */, "", help)
  if (help ~ /^".*"$/) help = substr(help, 2, length(help) - 2)
  printf "  make %-12s %s\n", name, help
}
END {
  if (wanted && !found) {
    printf "no target '%s'; TARGET is one of: %s\n", wanted, names > "/dev/stderr"
    exit 2
  }
}
