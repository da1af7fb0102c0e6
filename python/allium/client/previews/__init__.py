"""Link previews: what the sender of a link finds behind it (`spec/files-and-calls` §3). Off unless the user asks."""
