#!/bin/sh
# Daily upgrade within the installed release; crond mails what went wrong.
exec apk upgrade --quiet --update-cache
