//! The session in React, Vue and Svelte, as they really run in the webview, beside a window without any.

use crate::support::{App, Policy, Stage, Theme};

const FRAMEWORKS: [&str; 3] = ["react", "vue", "svelte"];

#[tokio::test]
async fn d1_react_vue_and_svelte_show_every_change_whichever_window_made_it() {
    let mut stage = Stage::new(Policy::default()).await;
    let app = stage.start_app(Theme::Light).await;
    app.click("open-frameworks").await;
    let main = app.turn_to_other_window().await;
    all_show(&app, "signedOut").await;
    let frameworks = app.turn_to_other_window().await;

    stage.sign_in(&app).await;
    let user = app.read("user").await.expect("the page answers");
    for framework in FRAMEWORKS {
        app.turn_to(frameworks.clone()).await;
        all_show(&app, "active").await;
        for shown in FRAMEWORKS {
            assert_eq!(app.read(&format!("{shown}-user")).await.as_ref(), Ok(&user), "{shown}");
        }
        stage.no_token_anywhere(Some(&app)).await;
        app.click(&format!("{framework}-sign-out")).await;
        all_show(&app, "signedOut").await;
        app.turn_to(main.clone()).await;
        app.shows("status", "signedOut").await;
        stage.sign_in(&app).await;
    }
    app.kill().await;
}

async fn all_show(app: &App, status: &str) {
    for framework in FRAMEWORKS {
        app.shows(&format!("{framework}-status"), status).await;
    }
}
