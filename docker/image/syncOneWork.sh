#!/bin/sh
# The archive's own sync script, where the image was built with one, else the reference script. Its scripts see their
# own Python first, and each other; the platform's processes see neither.
own=/opt/archive/scripts
if [ -e "$own/syncOneWork.sh" ]; then
    PATH=/opt/archive/venv/bin:$own:$PATH exec "$own/syncOneWork.sh" "$@"
fi
exec /opt/ao/sync/syncOneWork.sh "$@"
