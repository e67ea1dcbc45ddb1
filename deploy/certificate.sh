#!/bin/sh
# Run by the nginx image before nginx: where no certificate was given, make one that nobody vouches for, so that it starts. Browsers warn
# of it; devices must be told to trust it, or the operator puts fullchain.pem and privkey.pem into the folder that CERTIFICATES names.
set -eu
folder=${1:-/certificates}

if [ -s "$folder/fullchain.pem" ] && [ -s "$folder/privkey.pem" ]; then exit 0; fi
if [ -e "$folder/fullchain.pem" ] || [ -e "$folder/privkey.pem" ]; then
  echo "certificate: $folder needs both fullchain.pem and privkey.pem" >&2
  exit 1
fi
command -v openssl >/dev/null || {
  echo "certificate: put fullchain.pem and privkey.pem into $folder (there is no openssl here to make them)" >&2
  exit 1
}
umask 077
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 -subj "/CN=voltledger" \
  -addext "subjectAltName=DNS:localhost,DNS:voltledger,IP:127.0.0.1" \
  -keyout "$folder/privkey.new" -out "$folder/fullchain.new" 2>/dev/null
mv "$folder/privkey.new" "$folder/privkey.pem"
mv "$folder/fullchain.new" "$folder/fullchain.pem"
echo "certificate: made a self-signed one in $folder" >&2
