"""The file server: attachments and profile pictures, which their recipients alone can read.

What clients ask is in `spec/files-and-calls` §1; how it works, in `docs/operate/files.md`.
"""
