/** Who somebody is at a glance: a picture, or letters on a colour that is always the same for one id. */
import { memo, type ReactNode } from "react";

export interface AvatarProps {
  letters: string;
  /** 0 to 6: green, blue, yellow, pink, purple, orange, red. */
  color: number;
  picture?: string | null;
  size?: "small" | "medium" | "large";
  icon?: ReactNode;
}

/** It says nothing to screen readers: the name stands beside it. */
export const Avatar = memo(function Avatar({ letters, color, picture, size = "medium", icon }: AvatarProps) {
  return (
    <span className="avatar" data-size={size} data-color={color} aria-hidden="true">
      {icon ?? (picture ? <img src={picture} alt="" loading="lazy" decoding="async" /> : letters)}
    </span>
  );
});
