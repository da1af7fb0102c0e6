export { Avatar, type AvatarProps } from "./avatar";
export { Button, Empty, Field, IconButton, Switch, TextField } from "./controls";
export * from "./store";
export { Toasts, toast } from "./toasts";
