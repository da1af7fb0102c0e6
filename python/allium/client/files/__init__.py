"""Attachments and pictures without their network: encryption in pieces, padding, URLs (`spec/files-and-calls`)."""
