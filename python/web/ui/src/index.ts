export { Avatar, type AvatarProps } from "./avatar";
export { Button, Empty, Field, IconButton, Switch, TextField } from "./controls";
export { Toasts, toast } from "./toasts";
export * from "./store";
