"""The push server: wakes clients that do not poll, without being able to read what they are sent.

What clients ask is in `spec/files-and-calls` §5 and `spec/client-network`; how it works, in `docs/operate/push.md`.
"""
