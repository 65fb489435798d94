"""README.txt: how somebody with none of our programs opens and checks an archive, twenty years on."""

README = """\
THIS FOLDER IS A SEALED ARCHIVE
===============================

It holds messages that were kept away from the person who received them, exactly
as they came, as proof. Do not rename, edit or delete anything here. To keep it
safe, copy the whole folder to another disk.

It opens only for two people together: the owner, and the therapist or (where
there is one) the backup witness. Nobody else can open it, not even whoever
administers this computer.

The program is called nocontactd. Should it no longer exist, these common
programs are enough: age (age-encryption.org), tar, sha256sum, openssl.


To open one message
-------------------
A message lies in   mail/DAY/NUMBER.age   and its day's key in   keys/DAY.key.age
(DAY is the day, UTC, on which it was sealed. keys/copy/ and log/copy/ hold second
copies.) Use a computer that both of you trust, and a folder in its memory.

1. Each of the two unlocks their own key, with their own passphrase or card:
       age -d -o owner.key     holders/owner.age
       age -d -o therapist.key holders/therapist.age     (or: witness)
2. The day's key is locked twice, and is unlocked from the outside in:
       age -d -i therapist.key keys/DAY.key.age | age -d -i owner.key -o day.key
   Where there is also a DAY.2.key.age, some messages of that day need that one.
3. Open the message and unpack it. It must go through a file: there are zeros
   behind its end, and tar stops reading there.
       age -d -i day.key -o message.tar mail/DAY/NUMBER.age
       tar -xf message.tar
4. You now have
       meta.json     what it is, where it came from, when it arrived, why it was sealed
       message.eml   the message itself (message.json for a text, with its pictures beside it)
       final.json    the size and SHA-256 of each of these files
   Destroy owner.key, therapist.key and day.key afterwards.

Some files hold no message: records of when was looked for messages, and others.
Their meta.json says so.


To check that nothing was changed
---------------------------------
log/leaves has one line for each file: its name, the SHA-256 of the file, and a
third value. For mail/2026-11-22/000001.age, these two must agree:
       sha256sum mail/2026-11-22/000001.age
       grep '^2026-11-22/000001 ' log/leaves
The third value proves what is inside. In the unpacked message:
       sha256sum meta.json message.eml | sha256sum          (all files before final.json)
gives "content" in final.json; and with "salt" from meta.json, this gives the third value:
       printf %s CONTENT | openssl dgst -sha256 -mac HMAC -macopt hexkey:SALT
A third value of "-" marks a file that was never finished being taken out of its
mailbox; the same message then follows once more.

log/checkpoint signs for all lines of log/leaves and their order (RFC 6962 tree,
C2SP signed note, Ed25519); archive.json holds the public key. The whole format is
written down in docs/ARCHIVE-FORMAT.md of the program's source.
"""
