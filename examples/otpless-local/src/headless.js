// The sign-in script of the local OTPless. Like the real one it is configured by its own script tag,
//   <script id="otpless-sdk" src="…/v4/headless.js" data-appid="…"></script>
// and defines `window.OTPless`, whose callback receives INITIATE, VERIFY, ONETAP and FAILED events. It knows the
// channel PHONE only. Which paths it calls is its own business; the real ones are not documented.
(() => {
  "use strict";

  const script = document.currentScript ?? document.getElementById("otpless-sdk");
  const service = new URL(script.src).origin;
  const appId = script.dataset.appid ?? "";

  // What OTPless's mobile SDKs report when the service cannot be reached.
  const CANNOT_CONNECT = { errorCode: "9103", errorMessage: "The sign-in service cannot be reached." };

  async function post(path, body) {
    let answer;
    try {
      answer = await fetch(service + path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        credentials: "omit",
        body: JSON.stringify({ appId, ...body }),
      });
    } catch {
      return { success: false, statusCode: 0, response: CANNOT_CONNECT };
    }
    // A proxy's page or a cut-off body is no JSON.
    const fields = await answer.json().catch(() => null);
    if (answer.ok && fields !== null && typeof fields === "object") {
      return { success: true, statusCode: answer.status, response: fields };
    }
    return {
      success: false,
      statusCode: answer.status,
      response: {
        errorCode: String(fields?.errorCode ?? answer.status),
        errorMessage: String(fields?.description ?? fields?.message ?? "The sign-in service answered with an error."),
      },
    };
  }

  class OTPless {
    #callback;

    /** @param {(event: object) => void} callback receives every event, above all the ONETAP with the session */
    constructor(callback) {
      if (typeof callback !== "function") {
        throw new TypeError("new OTPless(callback): the callback is missing");
      }
      this.#callback = callback;
    }

    /** Sends a one-time code. @param {{channel: "PHONE", phone: string, countryCode: string}} request */
    async initiate({ channel, phone, countryCode } = {}) {
      const result = await post("/local/initiate", { channel, phone, countryCode });
      this.#report(result.success ? "INITIATE" : "FAILED", result);
      return result;
    }

    /**
     * Hands in the code. On success the callback gets the ONETAP event with the session; the promise carries no token.
     * @param {{channel: "PHONE", phone: string, countryCode: string, otp: string}} request
     */
    async verify({ channel, phone, countryCode, otp } = {}) {
      const result = await post("/local/verify", { channel, phone, countryCode, otp });
      if (!result.success) {
        this.#report("FAILED", result);
        return result;
      }
      const verified = { success: true, statusCode: result.statusCode, response: { channel } };
      this.#report("VERIFY", verified);
      this.#report("ONETAP", result);
      return verified;
    }

    #report(responseType, result) {
      try {
        this.#callback({ responseType, ...result });
      } catch (error) {
        // The page's mistake must be seen, but must not turn a sign-in that succeeded into one that failed.
        setTimeout(() => {
          throw error;
        });
      }
    }
  }

  window.OTPless = OTPless;
})();
