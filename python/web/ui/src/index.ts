export { Avatar, type AvatarProps } from "./avatar";
export { Button, Empty, Field, IconButton, Switch, TextField } from "./controls";
export { LanguageList, type LanguageRow, ownName, takeChosen } from "./language-list";
export * from "./store";
export { type Direction, Texts, type Values } from "./texts";
export { Toasts, toast } from "./toasts";
