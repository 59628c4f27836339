# Sourced by the other scripts: `show_help_if_asked "$@"` prints the script's first comment and ends.
show_help_if_asked() {
  case " $* " in *" -h "* | *" --help "*)
    sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0"
    exit 0
    ;;
  esac
}
# Or `cd` would follow it.
unset CDPATH
