#!/usr/bin/env bash
# Puts one work into the archive and its images on the web: the reference implementation of the sync script's
# contract, for a site that has no script of its own.
#
# What belongs here: the order of the steps, where a work goes, and what is left behind when a step fails. What
# does not: the proof that the archive holds the bytes that were bagged, and the flush to disk; both are the
# caller's, afterwards.
#
# All that is not yet the work, or is no longer, lies in <bucket>/.<RID>.sync beside the work's place, so that a
# reader never meets it, and the next run sees from that folder alone that a run was killed. Who writes there holds
# <bucket>/.<RID>.lock, since the same work may come from two places:
#   temp/       the file that rsync is writing
#   new/<RID>/  the new tree while it is built, of a work that the archive has not, or with -A
#   old/        with -A, the tree that was replaced, until it is removed
# Finished files of an addition wait in folders named PARTIAL, beside their places, for rsync to rename them.

set -euo pipefail
umask 022

readonly PARTIAL=.syncOneWork-partial
readonly FILES_FOR_TWO=100
readonly BUCKETS_PER_SHARE=25
readonly SECONDS_TO_WAIT_FOR_ANOTHER_RUN=20

readonly DONE=0 USAGE=2 REFUSED=3 NO_ARCHIVE=4 AUDIT_BEFORE=5 ARCHIVE_FAILED=6 AUDIT_AFTER=7 WEB_FAILED=8
readonly TOOL_MISSING=9 BUSY=10 UNWRITABLE=11

usage() {
    cat <<'HELP'
syncOneWork.sh [-h] [-A] [-W] [-a archiveParent] [-w webParent] -s successWorkList workPath

Puts the work in the folder workPath, whose name is the work's RID, into the archive and its images on the web.

  -a  sync the whole work below archiveParent, a path whose last part takes a digit: /mnt/Archive for W1NLM4712
      is /mnt/Archive0/12/W1NLM4712. The bucket is the RID's last two digits (00 if they are no digits), the
      share is the bucket div 25. /mnt/Archive0 must be there; a bucket that is missing is made.
  -w  send the work's images/ to webParent/<first two hex digits of md5(RID)>/RID/images/; webParent is an S3
      prefix such as s3://archive.example.org/Works. A work without images leaves the web as it is.
  -A  replace the archive's tree instead of adding to it: the new tree is built beside the old one, which needs
      room for both, and renamed
  -W  replace the web's images instead of adding to them: what is extra goes after the new images are there
  -s  the file to which the RID is appended once all that was asked for has been done
  -h  print this

With neither -a nor -w the work is only audited. -A counts only with -a, and -W only with -w.

The steps, in this order; the first that fails ends the run:
  1. audit-tool, where it is on PATH, on workPath, with LOCAL_AUDIT_OPTIONS
  2. rsync into the archive. A work that is new there is built beside its place, by two at once if it has many
     files, and renamed. A file that the archive has with the same size and time is taken to be the same and is
     not copied again; with -A every file is copied. File times are kept; new files get the mode 0644 and new
     folders 0755; the owner is who runs this.
  3. audit-tool on the archive's copy, with REPO_AUDIT_OPTIONS; on a new tree, before it gets its place
  4. s5cmd, or else aws, sends every image
  5. the inventory: sync-inventory/<RID>.tsv in the log folder (size, time and path of each of the work's files;
     in a path, %, line feed and carriage return are written as %25, %0A and %0D)
  6. the RID goes to the success list

A work is refused if it is empty, or holds a symbolic link or anything else but files and folders.

Environment:
  LOCAL_AUDIT_OPTIONS, REPO_AUDIT_OPTIONS   words for audit-tool, separated by spaces
  NO_REFRESH_WEB            Yes: nothing on the web is added, changed or removed, even with -w and -W
  syncLogDateTimeDir        the log folder; without it that of syncLogDateTimeFile, else a new folder under TMPDIR
  syncLogDateTimeFile       rsync's record of each file is appended to it
  syncLogTempDir            for files that are needed only while this runs
  auditToolLogDateTimeDir   audit-tool's own logs
  AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL   an S3 service other than AWS's

Exit codes:
   0  done
   2  the command line is wrong
   3  refused: a RID or a path that cannot be, or a work that is unfit
   4  the archive is not there
   5  audit-tool found fault with the work; nothing was copied
   6  the copy into the archive failed; with -A the old tree is in its place, unless the message says otherwise
   7  audit-tool found fault with the archive's copy; with -A the old tree is in its place
   8  the web does not have all the images
   9  a tool that is needed is not on PATH
  10  another run has the work
  11  the success list or the log folder cannot be written
 129, 130, 143  ended by HUP, INT, TERM
After any failure the same command may be run again.
HELP
}

rid=
beside=

say() {
    printf 'syncOneWork.sh: %s: %s\n' "$rid" "$1" || true
}

fail() {
    printf 'syncOneWork.sh: %s: %s\n' "${rid:-no work}" "$2" >&2 || true
    exit "$1"
}

refuse_usage() {
    fail "$USAGE" "$1; syncOneWork.sh -h prints the usage"
}

# --- children -------------------------------------------------------------------------------------------------

# Whatever kills this script, KILL included, takes the tool that it is waiting for along.
guard=()
if command -v setpriv >/dev/null; then
    guard=(setpriv --pdeathsig KILL --)
fi

# bash runs a trap only between commands, save in wait.
run() {
    "${guard[@]}" "$@" &
    wait "$!"
}

tree=()

descendants() {
    local task kids kid
    for task in "/proc/$1/task"/*; do
        kids=()
        { read -r -a kids <"$task/children"; } 2>/dev/null || true
        for kid in "${kids[@]}"; do
            tree+=("$kid")
            descendants "$kid"
        done
    done
}

# kill -0 would also count the dead whom a container without an init never buries.
any_alive() {
    local pid stat
    for pid in "${tree[@]}"; do
        { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || continue
        [[ ${stat##*) } == Z* ]] || return 0
    done
    return 1
}

stop() {
    trap '' TERM INT HUP
    descendants "$$"
    if ((${#tree[@]})); then
        kill -TERM "${tree[@]}" 2>/dev/null || true
        # Three of the ten seconds that a caller may give; the rest is for settling what is in the archive.
        local _
        for _ in {1..30}; do
            any_alive || break
            sleep 0.1
        done
        # What heeds no TERM may have started more meanwhile.
        descendants "$$"
        if any_alive; then
            kill -KILL "${tree[@]}" 2>/dev/null || true
        fi
    fi
    fail "$1" "ended by SIG$2 before it was done: $work; run it again"
}

# --- what was asked for ---------------------------------------------------------------------------------------

archive_parent=
web_parent=
success_list=
replace_archive=
replace_web=
while getopts ':hAWa:w:s:' option; do
    case $option in
        h)
            usage
            exit "$DONE"
            ;;
        A) replace_archive=yes ;;
        W) replace_web=yes ;;
        a) archive_parent=$OPTARG ;;
        w) web_parent=$OPTARG ;;
        s) success_list=$OPTARG ;;
        :) refuse_usage "-$OPTARG needs a value" ;;
        *) refuse_usage "there is no option -$OPTARG" ;;
    esac
    # An unset variable of the caller's must not turn a sync into a mere audit.
    [[ $option != [aws] || $OPTARG ]] || refuse_usage "the value of -$option is empty"
done
shift $((OPTIND - 1))
(($# == 1)) || refuse_usage "one workPath is needed, and $# were given"
[[ $success_list ]] || refuse_usage "-s successWorkList is needed"

without_trailing_slashes() {
    local -n stripped=$1
    while [[ $stripped == ?*/ ]]; do
        stripped=${stripped%/}
    done
}

# Command substitution would drop the line feeds that a path may end with.
real_path() {
    IFS= read -r -d '' "$1" < <(realpath -ze -- "$2")
}

work=$1
without_trailing_slashes work
rid=${work##*/}
case $rid in
    '' | [!A-Za-z0-9]* | *[!A-Za-z0-9_.-]* | *..* | *.)
        name=${rid@Q}
        rid=
        fail "$REFUSED" "$name, the last part of workPath ${work@Q}, cannot be a RID: ASCII letters, digits, '_', '-' \
and single inner dots"
        ;;
esac
((${#rid} <= 64)) || fail "$REFUSED" "a RID has at most 64 characters: workPath ${work@Q}"
[[ ! -L $work ]] || fail "$REFUSED" "workPath ${work@Q} is a symbolic link; give the folder itself"
[[ -d $work ]] || fail "$REFUSED" "workPath ${work@Q} is not a folder that is there"
real_path work "$work" || fail "$REFUSED" "workPath ${work@Q} cannot be followed"

# --- where it goes --------------------------------------------------------------------------------------------

find_archive_place() {
    local parent=$archive_parent bucket=00 last=
    without_trailing_slashes parent
    case ${parent##*/} in
        '' | . | ..)
            fail "$REFUSED" "archiveParent ${parent@Q} must end with a name that takes a digit; $work was not synced"
            ;;
    esac
    ((${#rid} < 2)) || last=${rid: -2}
    if [[ $last == [0-9][0-9] ]]; then
        bucket=$last
    fi
    local root=$parent$((10#$bucket / BUCKETS_PER_SHARE))
    [[ -d $root ]] ||
        fail "$NO_ARCHIVE" "the archive ${root@Q} is not there; is it mounted? Nothing was copied of $work"
    real_path root "$root" || fail "$NO_ARCHIVE" "the archive ${root@Q} cannot be followed; $work was not synced"
    if [[ $work/ == "$root"/* || $root/ == "$work"/* ]]; then
        fail "$REFUSED" "the work $work and the archive $root lie in one another"
    fi
    place=$root/$bucket/$rid
    beside=$root/$bucket/.$rid.sync
    place_lock=$root/$bucket/.$rid.lock
    if [[ -L $place_lock || (-e $place_lock && ! -f $place_lock) ]]; then
        fail "$REFUSED" "$place_lock is in the way: it should be a file; $work was not synced"
    fi
    local step
    for step in "$root/$bucket" "$place" "$beside"; do
        # A link there would lead the copy out of the archive.
        if [[ -L $step || (-e $step && ! -d $step) ]]; then
            fail "$REFUSED" "$step is in the way: it should be a folder and is a link or a file; $work was not synced"
        fi
    done
}

find_web_place() {
    without_trailing_slashes web_parent
    local prefix='^s3://[a-z0-9][a-z0-9.-]+(/[A-Za-z0-9_.=+-]+)*$'
    if [[ ! $web_parent =~ $prefix || $web_parent/ == */./* || $web_parent/ == */../* ]]; then
        fail "$REFUSED" "webParent ${web_parent@Q} is not an S3 prefix such as s3://bucket/Works; $work was not synced"
    fi
    local digest
    digest=$(printf %s "$rid" | md5sum)
    web=$web_parent/${digest:0:2}/$rid/images/
}

place=
place_lock=
web=
if [[ $archive_parent ]]; then
    find_archive_place
    command -v rsync >/dev/null || fail "$TOOL_MISSING" "rsync is not on PATH, and without it nothing reaches $place"
fi
if [[ $web_parent ]]; then
    find_web_place
fi

case ${NO_REFRESH_WEB:-} in
    '' | 0 | [Nn]o | NO | [Ff]alse | FALSE) ;;
    *)
        [[ ! $web ]] || say "NO_REFRESH_WEB is set: $web stays as it is"
        web_parent=
        ;;
esac
if [[ $web_parent ]]; then
    if [[ ! -d $work/images || ! $(find "$work/images" -type f -printf f -quit) ]]; then
        say "$work has no images: $web stays as it is"
        web_parent=
    elif ! command -v s5cmd >/dev/null && ! command -v aws >/dev/null; then
        fail "$TOOL_MISSING" "neither s5cmd nor aws is on PATH, and without one nothing reaches $web"
    fi
fi

audit_tool=$(command -v audit-tool || true)
if [[ ! $archive_parent && ! $web && ! $audit_tool ]]; then
    fail "$TOOL_MISSING" "only the audit was asked for, and audit-tool is not on PATH; $work was not audited"
fi

# --- logs -----------------------------------------------------------------------------------------------------

log_dir=${syncLogDateTimeDir:-}
if [[ ! $log_dir && ${syncLogDateTimeFile:-} == */* ]]; then
    log_dir=${syncLogDateTimeFile%/*}
fi
if [[ ! $log_dir ]]; then
    log_dir=$(mktemp -d -- "${TMPDIR:-/tmp}/syncOneWork.$rid.XXXXXXXX") ||
        fail "$UNWRITABLE" "no log folder can be made in ${TMPDIR:-/tmp}; $work was not synced"
fi
log_file=${syncLogDateTimeFile:-$log_dir/sync-$rid.log}
temp_dir=${syncLogTempDir:-$log_dir/tempFiles}
audit_dir=${auditToolLogDateTimeDir:-$log_dir/audit-test-logs}
inventory_dir=$log_dir/sync-inventory
log_folders=("$log_dir" "$temp_dir" "$audit_dir" "$inventory_dir")
[[ $log_file != */* ]] || log_folders+=("${log_file%/*}/")
mkdir -p -- "${log_folders[@]}" ||
    fail "$UNWRITABLE" "the log folder ${log_dir@Q} cannot be written; $work was not synced"
for written in "$log_file" "$success_list"; do
    : >>"$written" || fail "$UNWRITABLE" "${written@Q} cannot be written; $work was not synced"
done
# A tool might take a leading dash for an option.
real_path audit_dir "$audit_dir"

# --- the steps ------------------------------------------------------------------------------------------------

# Removes whole trees; another system's may have folders that their owner may not change.
remove() {
    run find "$@" -type d ! -perm -u+rwx -exec chmod u+rwx -- {} \; && run rm -rf -- "$@"
}

# The archive is left as it was before the run that was killed, or as that run meant it to be.
settle() {
    [[ $beside && -d $beside ]] || return 0
    if [[ -d $beside/old && ! -e $place ]]; then
        mv -T -- "$beside/old" "$place" || return
    fi
    if [[ -d $place ]]; then
        run find "$place" -type d -name "$PARTIAL" -prune -exec rm -rf -- {} + || return
    fi
    remove "$beside"
}

on_exit() {
    local status=$?
    trap - EXIT
    if [[ $holding ]]; then
        if ((status)) && ! settle; then
            say "what is left of this run is in $beside; run it again"
        fi
        rm -f -- "$place_lock"
    fi
    exit "$status"
}

await_lock() {
    run flock -w "$SECONDS_TO_WAIT_FOR_ANOTHER_RUN" "$1" || (($? != 1)) || fail "$BUSY" "$2; nothing was done"
}

# The lock of the work's place is removed by who holds it: one that was waited for may be gone, and another's made.
# The tools inherit it, as that of the work, so that a run never meets what a killed one has left running.
hold_place() {
    [[ ! $holding ]] || return 0
    local lock
    while [[ ! $holding ]]; do
        { exec {lock}>>"$place_lock"; } || fail "$ARCHIVE_FAILED" "$place_lock cannot be written; nothing was copied"
        await_lock "$lock" "another run syncs $rid to $place"
        if [[ $place_lock -ef /proc/$$/fd/$lock ]]; then
            holding=yes
        else
            exec {lock}>&-
        fi
    done
    if [[ -d $beside ]]; then
        say "an earlier run was killed; what it left in $beside is cleared away first"
        settle || fail "$ARCHIVE_FAILED" "what a run that was killed has left in $beside cannot be cleared away"
    fi
}

audit() {
    local code=$1 folder=$2 words=()
    [[ $audit_tool ]] || return 0
    # Words come from the work's own file: split at spaces, and neither expanded nor run.
    read -r -d '' -a words <<<"$3" || true
    say "audit-tool looks at $folder"
    run "$audit_tool" -l "$audit_dir" "${words[@]}" "$folder" ||
        fail "$code" "audit-tool found fault with $folder (exit $?); its logs are in $audit_dir"
}

# Folders' times and owners are left alone: where another user made a folder, rsync would fail to set them.
rsync=("${guard[@]}" rsync --recursive --times --omit-dir-times '--chmod=D755,F644' --whole-file '--out-format=%t %i %n')

await_copies() {
    local copy code=0
    for copy in "$@"; do
        wait "$copy" || code=$?
    done
    ((code == 0)) ||
        fail "$ARCHIVE_FAILED" "rsync of $work to $place failed (exit $code); its record is in $log_file"
}

add_to_archive() {
    say "adding $work to $place"
    mkdir -p -- "$beside/temp" || fail "$ARCHIVE_FAILED" "$beside cannot be made"
    "${rsync[@]}" --temp-dir="$beside/temp" --partial-dir="$PARTIAL" --delay-updates -- "$work/" "$place/" >>"$log_file" &
    await_copies "$!"
    audit "$AUDIT_AFTER" "$place" "${REPO_AUDIT_OPTIONS:-}"
}

# One rsync is a chain of processes that wait for one another, and leaves nearly one of two cores idle. Of two, each
# takes every other file in the order of sizes, in folders that are made before. A line that begins with # or ; is a
# remark to rsync: each path begins with ./ instead.
copy_by_two() {
    local list=$temp_dir/$rid.files half copies=()
    find "$work" -type f -printf '%s\t./%P\0' | LC_ALL=C sort -z -n | sed -z 's/^[0-9]*\t//' >"$list" ||
        fail "$UNWRITABLE" "$list, the list of the files of $work, cannot be written"
    "${rsync[@]}" --include='*/' --exclude='*' -- "$work/" "$1/" >>"$log_file" &
    await_copies "$!"
    for half in 1 2; do
        sed -zn "$half~2p" <"$list" >"$list.$half" ||
            fail "$UNWRITABLE" "$list.$half, the list of half of the files of $work, cannot be written"
        "${rsync[@]}" --from0 --files-from=- -- "$work/" "$1/" <"$list.$half" >>"$log_file" &
        copies+=("$!")
    done
    await_copies "${copies[@]}"
    rm -f -- "$list" "$list".?
}

build_in_archive() {
    local new=$beside/new/$rid
    say "building $new, to become $place"
    mkdir -p -- "$new" || fail "$ARCHIVE_FAILED" "$new cannot be made"
    if ((${#each_file} < FILES_FOR_TWO)); then
        "${rsync[@]}" -- "$work/" "$new/" >>"$log_file" &
        await_copies "$!"
    else
        copy_by_two "$new"
    fi
    audit "$AUDIT_AFTER" "$new" "${REPO_AUDIT_OPTIONS:-}"
    # Between the two renames the work has no place: whatever ends the run there, settle mends it.
    if [[ -d $place ]]; then
        mv -T -- "$place" "$beside/old" || fail "$ARCHIVE_FAILED" "$place cannot be renamed to $beside/old"
    fi
    mv -T -- "$new" "$place" || fail "$ARCHIVE_FAILED" "$new cannot be renamed to $place"
}

sync_archive() {
    mkdir -p -- "${place%/*}" || fail "$ARCHIVE_FAILED" "${place%/*} cannot be made"
    hold_place
    if [[ $replace_archive || ! -d $place ]]; then
        build_in_archive
    else
        add_to_archive
    fi
    remove "$beside" || fail "$ARCHIVE_FAILED" "$place is done, but $beside cannot be removed"
}

send() {
    # The tools read glob characters in a path: only the plain name images/ reaches them.
    run env -C "$work" "$@" images/ "$web" ||
        fail "$WEB_FAILED" "$1 could not send $work/images to $web (exit $?); run it again"
}

# "sync" would pass over an image of the same size whose time is older than the web's copy: every image is sent.
# What is extra goes last, so that the web is never without images.
sync_web() {
    local endpoint=${AWS_ENDPOINT_URL_S3:-${AWS_ENDPOINT_URL:-}} tool
    if command -v s5cmd >/dev/null; then
        tool=(s5cmd ${endpoint:+--endpoint-url "$endpoint"} --log error)
        say "s5cmd sends $work/images to $web"
        send "${tool[@]}" cp --no-follow-symlinks
        [[ ! $replace_web ]] || send "${tool[@]}" sync --no-follow-symlinks --size-only --delete
    else
        tool=(aws ${endpoint:+--endpoint-url "$endpoint"} s3)
        say "aws sends $work/images to $web"
        send "${tool[@]}" cp --recursive --no-follow-symlinks --only-show-errors
        [[ ! $replace_web ]] || send "${tool[@]}" sync --no-follow-symlinks --only-show-errors --size-only --delete
    fi
}

write_inventory() {
    local list=$temp_dir/$rid.tsv
    {
        printf 'size\tmtime\tpath\n'
        TZ=UTC find "$work" -type f -printf '%s\t%TY-%Tm-%TdT%TH:%TM:%TSZ\t%P\0' |
            LC_ALL=C sed -z 's/%/%25/g; s/\n/%0A/g; s/\r/%0D/g' | LC_ALL=C sort -z -t $'\t' -k 3 | tr '\0' '\n'
    } >"$list" && mv -T -- "$list" "$inventory_dir/$rid.tsv"
}

trap 'stop 143 TERM' TERM
trap 'stop 130 INT' INT
trap 'stop 129 HUP' HUP
# Who reads what this prints may be gone before it is done; the archive is settled all the same.
trap '' PIPE

exec {lock}<"$work"
await_lock "$lock" "another run has $work"

holding=
trap on_exit EXIT
if [[ -d ${place%/*} ]]; then
    hold_place
fi

unfit=$(find "$work" \( ! -type f ! -type d -o -name "$PARTIAL" \) -printf '%y %P' -quit) ||
    fail "$REFUSED" "$work cannot be read whole"
[[ ! $unfit ]] ||
    fail "$REFUSED" "$work holds ${unfit@Q} (the first letter is its kind); only plain files and folders are synced"
each_file=$(find "$work" -type f -printf f)
[[ $each_file ]] || fail "$REFUSED" "$work holds no file"

audit "$AUDIT_BEFORE" "$work" "${LOCAL_AUDIT_OPTIONS:-}"
if [[ $archive_parent ]]; then
    sync_archive
    say "$place holds $work"
fi
if [[ $web_parent ]]; then
    sync_web
    say "$web holds the images of $work"
fi
if [[ $archive_parent || $web_parent ]]; then
    write_inventory || fail "$UNWRITABLE" "the inventory $inventory_dir/$rid.tsv of $work cannot be written"
    say "the inventory is $inventory_dir/$rid.tsv"
fi
printf '%s\n' "$rid" >>"$success_list" || fail "$UNWRITABLE" "${success_list@Q} cannot be written; $work is synced"
