/** Buttons, fields and switches. */
import { type ButtonHTMLAttributes, type InputHTMLAttributes, type ReactNode, useId } from "react";

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement>;

export function Button({
  kind = "",
  className = "",
  ...rest
}: ButtonProps & { kind?: "primary" | "danger" | "plain" | "" }) {
  return <button type="button" className={`button ${kind} ${className}`} {...rest} />;
}

/** A button that is a picture: what it does is in its label. */
export function IconButton({ label, className = "", ...rest }: ButtonProps & { label: string }) {
  return <button type="button" className={`icon-button ${className}`} aria-label={label} title={label} {...rest} />;
}

export interface FieldProps {
  label: string;
  hint?: ReactNode;
  error?: string | null | undefined;
  children: (attributes: { id: string; "aria-describedby": string; "aria-invalid": boolean }) => ReactNode;
}

/** A labelled control; its error is announced when it comes. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, "aria-describedby": `${id}-more`, "aria-invalid": Boolean(error) })}
      <div id={`${id}-more`}>
        {hint && <p className="hint">{hint}</p>}
        <p className="error" role="alert">
          {error}
        </p>
      </div>
    </div>
  );
}

export function TextField({
  label,
  hint,
  error,
  ...rest
}: Omit<FieldProps, "children"> & InputHTMLAttributes<HTMLInputElement>) {
  return (
    <Field label={label} hint={hint} error={error}>
      {(attributes) => <input className="input" dir="auto" autoComplete="off" {...attributes} {...rest} />}
    </Field>
  );
}

export interface SwitchProps {
  label: string;
  hint?: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
}

export function Switch({ label, hint, checked, onChange }: SwitchProps) {
  const id = useId();
  return (
    <div className="switch-row">
      <div className="words">
        <div id={id}>{label}</div>
        {hint && (
          <div id={`${id}-hint`} className="muted">
            {hint}
          </div>
        )}
      </div>
      <button
        type="button"
        role="switch"
        className="switch"
        aria-checked={checked}
        aria-labelledby={id}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onClick={() => onChange(!checked)}
      />
    </div>
  );
}

export function Empty({ icon, title, children }: { icon: ReactNode; title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <div className="icon" aria-hidden="true">
        {icon}
      </div>
      <h2>{title}</h2>
      {children}
    </div>
  );
}
