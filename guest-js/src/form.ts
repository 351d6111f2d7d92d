/**
 * A form with files in it as a body, as the standard encodes it (HTML § multipart/form-data encoding algorithm). Some webviews
 * (WebKitGTK's) can send such a form and cannot read it.
 */
export function encoded(form: FormData): Blob {
  // Not `randomUUID`, which pages of a development server that is not on this machine do not have.
  const random = crypto.getRandomValues(new Uint8Array(16));
  const boundary = `----otpless-${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  const parts: BlobPart[] = [];
  for (const [name, value] of form) {
    const start = `--${boundary}\r\nContent-Disposition: form-data; name="${escaped(lines(name))}"`;
    if (typeof value === "string") {
      parts.push(`${start}\r\n\r\n${lines(value)}\r\n`);
    } else {
      const type = value.type || "application/octet-stream";
      parts.push(`${start}; filename="${escaped(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`, value, "\r\n");
    }
  }
  parts.push(`--${boundary}--\r\n`);
  return new Blob(parts, { type: `multipart/form-data; boundary=${boundary}` });
}

/** Line ends as the standard has them. */
function lines(text: string): string {
  return text.replaceAll(/\r\n|\r|\n/g, "\r\n");
}

/** In quotes. */
function escaped(text: string): string {
  return text.replaceAll("\n", "%0A").replaceAll("\r", "%0D").replaceAll('"', "%22");
}
