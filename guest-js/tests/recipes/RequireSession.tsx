import { Navigate, Outlet, useNavigate } from "react-router";
import { useSession } from "tauri-plugin-otpless-api/react";

// <Route element={<RequireSession />}>…the routes for people who are signed in…</Route>
export function RequireSession() {
  const { status, isSignedIn, session, error, retry } = useSession();
  const navigate = useNavigate();

  if (isSignedIn) return <Outlet />;
  if (status === "signedOut") return <Navigate to="/sign-in" replace />;
  if (error) {
    return (
      <p role="alert">
        {error.message} <button onClick={retry}>Try again</button>
      </p>
    );
  }
  return (
    <p>
      One moment…{" "}
      {session?.storage === "unavailable" && <button onClick={() => void navigate("/sign-in")}>Sign in anew</button>}
    </p>
  );
}
