//! Which webview may have what carries a token, or a person's identities (requirement D5).
//!
//! A capability that names a window covers every webview in it, also one that an app opens there to show somebody else's
//! page. That is not for such a webview: it has a label of its own, which is not its window's. An app that means it to have
//! a token says so where it says everything of the kind, by that label in the `webviews` of a capability.

use tauri::{
    Runtime,
    ipc::{CommandArg, CommandItem, CommandScope, InvokeError},
    utils::acl::resolved::ResolvedCommand,
};

use crate::{
    error::{Error, ErrorKind, Result},
    fetch::{Entry, Owner, Scope},
};

/// The webview that calls a command which carries a token, writes one, or tells of a person what `get_session` does not. As an
/// argument of a command it refuses all others.
#[derive(Debug)]
pub(crate) struct TokenCaller(pub(crate) Owner);

impl<'a, R: Runtime> CommandArg<'a, R> for TokenCaller {
    fn from_command(command: CommandItem<'a, R>) -> std::result::Result<Self, InvokeError> {
        let webview = command.message.webview_ref();
        let owner =
            Owner { window: webview.window().label().to_owned(), webview: webview.label().to_owned() };
        admitted(&owner, command.acl.as_deref().unwrap_or_default(), command.name)?;
        Ok(Self(owner))
    }
}

/// What the calling webview may call with the session. A second webview in a window has what names it, and not what the window
/// has; what is denied to the window is denied to it as well.
#[derive(Debug)]
pub(crate) struct CallerScope(pub(crate) Scope);

impl<'a, R: Runtime> CommandArg<'a, R> for CallerScope {
    fn from_command(command: CommandItem<'a, R>) -> std::result::Result<Self, InvokeError> {
        let scope_of = |acl: &Option<Vec<ResolvedCommand>>| {
            let CommandItem { plugin, name, key, message, .. } = command;
            CommandScope::<Entry>::from_command(CommandItem { plugin, name, key, message, acl })
        };
        let webview = command.message.webview_ref();
        let whole = scope_of(command.acl)?;
        if webview.label() == webview.window().label() {
            return Ok(Self(Scope::new(whole.allows(), whole.denies())));
        }
        let naming = command.acl.iter().flatten().filter(|allowed| names(allowed, webview.label())).cloned();
        let own = scope_of(&Some(naming.collect()))?;
        Ok(Self(Scope::new(own.allows(), whole.denies())))
    }
}

fn names(allowed: &ResolvedCommand, webview: &str) -> bool {
    allowed.webviews.iter().any(|pattern| pattern.matches(webview))
}

fn admitted(caller: &Owner, acl: &[ResolvedCommand], command: &str) -> Result<()> {
    let named = || acl.iter().any(|allowed| names(allowed, &caller.webview));
    if caller.webview == caller.window || named() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NotPermitted,
        format!(
            "the webview {:?} may not call {command}: it is a second one in the window {:?}, and what carries a token or \
             a person's identities is for a webview that has its window's label. If it is meant to, name it in the `webviews` of a capability",
            caller.webview, caller.window
        ),
    ))
}
