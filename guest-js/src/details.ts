/**
 * Something the user has shown to be theirs.
 *
 * @example
 * ```ts
 * import { sessionDetails, type Identity } from "tauri-plugin-otpless-api";
 *
 * const describe = ({ identityType, identityValue }: Identity) => `${identityType}: ${identityValue}`;
 * console.log((await sessionDetails()).identities.map(describe));
 * ```
 */
export interface Identity {
  /** `MOBILE`, `EMAIL`, … */
  identityType?: string;
  /** The number or address. */
  identityValue?: string;
  /** How it was shown: `OTP`, `EMAIL_LOGIN`, … */
  channel?: string;
  /** With which methods. */
  methods: string[];
  /** The name that goes with it. */
  name?: string;
  /** When it was shown, in milliseconds since the Unix epoch. */
  verifiedAt?: number;
}

/**
 * The device of a sign-in, as far as OTPless knows it. What it sends is not checked: look before you use it.
 *
 * @example
 * ```ts
 * import { sessionDetails, type DeviceInfo } from "tauri-plugin-otpless-api";
 *
 * const { browser, platform }: DeviceInfo = (await sessionDetails()).deviceInfo;
 * console.log(`signed in with ${String(browser)} on ${String(platform)}`);
 * ```
 */
export type DeviceInfo = Partial<
  Record<
    | "userAgent"
    | "platform"
    | "vendor"
    | "browser"
    | "connection"
    | "language"
    | "cookieEnabled"
    | "screenWidth"
    | "screenHeight"
    | "screenColorDepth"
    | "devicePixelRatio"
    | "timezoneOffset"
    | "cpuArchitecture"
    | "fontFamily",
    unknown
  >
>;

/**
 * The network of a sign-in, as far as OTPless knows it. What it sends is not checked: look before you use it.
 *
 * @example
 * ```ts
 * import { sessionDetails, type NetworkInfo } from "tauri-plugin-otpless-api";
 *
 * const { ip, timezone }: NetworkInfo = (await sessionDetails()).network;
 * console.log(`signed in from ${String(ip)} (${String(timezone)})`);
 * ```
 */
export type NetworkInfo = Partial<Record<"ip" | "timezone" | "ipLocation", unknown>>;

/**
 * What OTPless knows of the session. Times are by OTPless's clock.
 *
 * @example
 * ```ts
 * import { sessionDetails, type SessionDetails } from "tauri-plugin-otpless-api";
 *
 * const { startedAt, lastActiveAt }: SessionDetails = await sessionDetails();
 * console.log(`since ${new Date(startedAt)}, last seen ${new Date(lastActiveAt)}`);
 * ```
 */
export interface SessionDetails {
  /** OTPless's id of the user. */
  userId: string;
  /** When the session began, in milliseconds since the Unix epoch. */
  startedAt: number;
  /** When OTPless last heard of it, in milliseconds since the Unix epoch. */
  lastActiveAt: number;
  /** What the user signed in with. */
  identities: Identity[];
  /** The device of the sign-in. */
  deviceInfo: DeviceInfo;
  /** The network of the sign-in. */
  network: NetworkInfo;
}
