#!/usr/bin/env bash
# Puts one work into the archive and its images on the web: the reference implementation of the sync script's
# contract, for a site that has no script of its own.
#
# What belongs here: the order of the steps, where a work goes, and what is left behind when a step fails. What
# does not: the proof that the archive holds the bytes that were bagged, and the flush to disk; both are the
# caller's, afterwards. Only what an old tree goes for is flushed here, before.
#
# All that is not yet the work, or is no longer, lies in <bucket>/.<RID>.sync beside the work's place, so that a
# reader never meets it, and the next run sees from that folder alone that a run was killed. Who writes there holds
# <bucket>/.<RID>.lock, since the same work may come from two places:
#   temp/       the files that rsync is writing. It puts a dot before a name only where it writes beside the file's
#               place: _x would be ._x.AbCdEf, and there are shares that forbid names like ._*
#   new/<RID>/  the new tree while it is built; once the two have changed places, the old one, until it is removed
#   old/        the old tree, where two trees cannot change places in one step
# In a tree that is built from the old one, all that does not change is a hard link to it: no file there may be written
# in place.

set -euo pipefail
umask 022

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
  -A  replace the archive's tree instead of adding to it, which needs room for both
  -W  replace the web's images instead of adding to them: what is extra goes after the new images are there
  -s  the file to which the RID is appended once all that was asked for has been done
  -h  print this

With neither -a nor -w the work is only audited. -A counts only with -a, and -W only with -w.

The steps, in this order; the first that fails ends the run:
  1. audit-tool, where it is on PATH, on workPath, with LOCAL_AUDIT_OPTIONS
  2. rsync into the archive, by two at once if there are many files. The work is built beside its place, and put
     there whole, where there is an old one after a flush: a reader meets the old one or the new one. Files that the archive has with the same bytes stay, with
     their times, as hard links (where the file system has none, or forbids them, they are copied); what the archive
     has besides stays too. With -A nothing stays, and every file is copied. If nothing differs, nothing is built.
     Where the file system cannot exchange two folders in one step (NFS and SMB cannot), or python3 is not on PATH, it
     takes two renames, and for that moment the work has no place. File times are kept; new files get the mode 0644
     and new folders 0755; the owner is who runs this.
  3. audit-tool on the archive's copy, with REPO_AUDIT_OPTIONS; on a tree that was built, before it gets its place
  4. s5cmd, or else aws, sends every image
  5. the inventory: sync-inventory/<RID>.tsv in the log folder (size, time and path of each of the work's files;
     in a path, %, line feed and carriage return are written as %25, %0A and %0D)
  6. the RID goes to the success list

A work is refused if it is empty, or holds a symbolic link or anything else but files and folders.

Environment:
  LOCAL_AUDIT_OPTIONS, REPO_AUDIT_OPTIONS   words for audit-tool, separated by spaces
  syncChangedFiles          a file with the paths, in the work and each ended by NUL, of the files that the archive lacks
                            or has with other bytes, from a caller who has compared the two already. Without it the
                            bytes of both are compared here; size and time alone decide nothing.
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
   6  the copy into the archive failed; the old tree is in its place, unless the message says otherwise
   7  audit-tool found fault with the archive's copy; a tree that was built did not get its place
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

# The archive's rule for a RID's bucket and share, which the platform has too: a test holds the two against one another.
find_bucket() {
    local last=
    bucket=00
    ((${#rid} < 2)) || last=${rid: -2}
    if [[ $last == [0-9][0-9] ]]; then
        bucket=$last
    fi
    share=$((10#$bucket / BUCKETS_PER_SHARE))
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
    local parent=$archive_parent bucket share
    without_trailing_slashes parent
    case ${parent##*/} in
        '' | . | ..)
            fail "$REFUSED" "archiveParent ${parent@Q} must end with a name that takes a digit; $work was not synced"
            ;;
    esac
    find_bucket
    local root=$parent$share
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

# Folders' times and owners are left alone: where another user made a folder, rsync would fail to set them. Which files
# differ is known by then, and rsync's own guess by size and time is not asked.
rsync=("${guard[@]}" rsync --times --omit-dir-times --ignore-times '--chmod=D755,F644' --whole-file)
rsync+=('--out-format=%t %i %n')

await_copies() {
    local copy code=0
    for copy in "$@"; do
        wait "$copy" || code=$?
    done
    ((code == 0)) ||
        fail "$ARCHIVE_FAILED" "rsync of $work to $place failed (exit $code); its record is in $log_file"
}

# Writes the files of a list into folders that are made before. One rsync is a chain of processes that wait for one
# another, and leaves nearly one of two cores idle: of two, each takes every other file. A line that begins with # or ;
# is a remark to rsync: each path begins with ./ instead.
copy_files() {
    local list=$1 new=$2 half copies=() first
    "${rsync[@]}" --recursive --include='*/' --exclude='*' -- "$work/" "$new/" >>"$log_file" &
    await_copies "$!"
    mapfile -d '' -t -n "$FILES_FOR_TWO" first <"$list"
    if ((${#first[@]} < FILES_FOR_TWO)); then
        "${rsync[@]}" --from0 --files-from=- -- "$work/" "$new/" <"$list" >>"$log_file" &
        await_copies "$!"
        return
    fi
    for half in 1 2; do
        sed -zn "$half~2p" <"$list" >"$list.$half" ||
            fail "$UNWRITABLE" "$list.$half, the list of half of the files of $work, cannot be written"
        "${rsync[@]}" --from0 --files-from=- -- "$work/" "$new/" <"$list.$half" >>"$log_file" &
        copies+=("$!")
    done
    await_copies "${copies[@]}"
}

# Size and path of each file of a tree, each ended by NUL, in an order that is the same for both.
list_files() {
    find "$1" -type f -printf '%s\t./%P\0' | LC_ALL=C sort -z
}

without_size() {
    LC_ALL=C sed -z $'s/^[^\t]*\t//'
}

# The files of the work that the archive lacks or has with other bytes: first by size, then by digest, both trees at once.
list_changed_files() {
    local list=$1 digests=("${guard[@]}" xargs -0 -r "${guard[@]}" sha256sum -bz --) of_place
    if [[ ${syncChangedFiles:-} ]]; then
        sed -z 's,^\(\./\)\?,./,' -- "$syncChangedFiles" >"$list"
        return
    fi
    say "comparing $work with $place"
    list_files "$work" >"$list.work" && list_files "$place" >"$list.place" &&
        LC_ALL=C comm -z -12 -- "$list.work" "$list.place" | without_size >"$list.both" || return
    env -C "$place" "${digests[@]}" <"$list.both" >"$list.there" &
    of_place=$!
    env -C "$work" "${digests[@]}" <"$list.both" >"$list.here" &
    wait "$!" || return
    wait "$of_place" || say "files of $place that cannot be read are written anew"
    LC_ALL=C sort -z -o "$list.here" -- "$list.here" && LC_ALL=C sort -z -o "$list.there" -- "$list.there" &&
        LC_ALL=C comm -z -12 -- "$list.here" "$list.there" | LC_ALL=C sed -z 's/^[0-9a-f]* [* ]//' |
        LC_ALL=C sort -z >"$list.same" &&
        without_size <"$list.work" | LC_ALL=C sort -z | LC_ALL=C comm -z -23 -- - "$list.same" >"$list"
}

# The old tree once more, as hard links where that can be: another user's files may be forbidden.
take_over() {
    run cp -alT -- "$place" "$1" 2>>"$log_file" && return
    say "not every file of $place can be linked: what stays is copied"
    remove "$1" && mkdir -p -- "$1" && run cp -RPT --preserve=mode,timestamps -- "$place" "$1"
}

# One step for two renames. Debian's mv cannot do it.
exchange() {
    command -v python3 >/dev/null || return
    run python3 -ISc '
import ctypes, os, sys
one, other = map(os.fsencode, sys.argv[1:])
here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
sys.exit(ctypes.CDLL(None).renameat2(here, one, here, other, exchange) != 0)
' "$1" "$2" 2>/dev/null
}

put_in_place() {
    if [[ -d $place ]]; then
        # A disk that is full may say so only now, and a power cut would leave empty files: the old tree goes for a new one
        # that is on the disk.
        run sync -f -- "$1" || fail "$ARCHIVE_FAILED" "$1 cannot be put on the disk"
        ! exchange "$1" "$place" || return 0
        # Between the two renames the work has no place: whatever ends the run there, settle mends it.
        mv -T -- "$place" "$beside/old" || fail "$ARCHIVE_FAILED" "$place cannot be renamed to $beside/old"
    fi
    mv -T -- "$1" "$place" || fail "$ARCHIVE_FAILED" "$1 cannot be renamed to $place"
}

build_in_archive() {
    local new=$beside/new/$rid list=$temp_dir/$rid.files
    mkdir -p -- "$new" "$beside/temp" || fail "$ARCHIVE_FAILED" "$new cannot be made"
    rsync+=(--temp-dir="$beside/temp")
    if [[ -d $place && ! $replace_archive ]]; then
        list_changed_files "$list" || fail "$UNWRITABLE" "$list, the list of what differs in $place, cannot be made"
        if [[ ! -s $list ]]; then
            say "$place has every file of $work: nothing is copied"
            rm -f -- "$list" "$list".*
            audit "$AUDIT_AFTER" "$place" "${REPO_AUDIT_OPTIONS:-}"
            return
        fi
        say "building $new from $place and what differs, to become $place"
        take_over "$new" || fail "$ARCHIVE_FAILED" "$place cannot be taken over into $new"
        copy_files "$list" "$new"
    elif ((${#each_file} < FILES_FOR_TWO)); then
        say "building $new, to become $place"
        "${rsync[@]}" --recursive -- "$work/" "$new/" >>"$log_file" &
        await_copies "$!"
    else
        say "building $new, to become $place"
        # In the order of sizes, so that the two are done at the same time.
        find "$work" -type f -printf '%s\t./%P\0' | LC_ALL=C sort -z -n | without_size >"$list" ||
            fail "$UNWRITABLE" "$list, the list of the files of $work, cannot be written"
        copy_files "$list" "$new"
    fi
    rm -f -- "$list" "$list".*
    audit "$AUDIT_AFTER" "$new" "${REPO_AUDIT_OPTIONS:-}"
    put_in_place "$new"
}

sync_archive() {
    mkdir -p -- "${place%/*}" || fail "$ARCHIVE_FAILED" "${place%/*} cannot be made"
    hold_place
    build_in_archive
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

unfit=$(find "$work" ! -type f ! -type d -printf '%y %P' -quit) ||
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
