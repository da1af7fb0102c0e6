//! A store without a network: messages put, read back page by page, gone through as a whole.
//!
//! `cargo run --example store`

use allium_engine::{
    Clock, Store,
    store::{Cursor, Limits, NewMessage, StoreConfig},
    types::{AccountId, Namespace},
};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    run().await
}

/// Any executor will do.
pub(crate) async fn run() -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let mut config = StoreConfig::new(directory.path());
    config.max_bytes = 64 << 20;
    let clock = Clock::default();
    let store = Store::open(config, clock.clone())?;

    let account = AccountId::new(AccountId::SESSION, [7; 32]);
    let now = clock.now();
    let mut hashes = Vec::new();
    for number in 0..5 {
        let data = format!("message {number}").into_bytes();
        let message = NewMessage::new(account, Namespace(0), now, now.plus(3_600_000), data);
        hashes.push(message.hash);
        // On disk when this returns.
        store.put(message).await?;
    }

    // As a client pages through its messages: two at a time, after the last one that it has.
    let limits = Limits { max_count: Some(2), max_size: 1 << 20 };
    let mut seen = Vec::new();
    loop {
        let page = store.retrieve(&account, Namespace(0), seen.last(), limits)?;
        seen.extend(page.messages.iter().map(|message| message.hash));
        if !page.more {
            break;
        }
    }
    if seen != hashes {
        return Err("the pages are not what was put".into());
    }

    let removed = store.remove(account, vec![hashes[0]]).await?;
    let found = store.get(&account, &hashes[1])?.ok_or("a message is gone")?;
    println!("removed {}, left for example {:?}", removed[0], String::from_utf8_lossy(&found.data));

    // Everything, as a backup would read it.
    let (mut cursor, mut count) = (Some(Cursor::default()), 0);
    while let Some(at) = cursor {
        let batch = store.scan(&at, 16 << 10)?;
        count += batch.messages.len();
        cursor = batch.next;
    }
    println!("{count} messages, {} bytes", store.stats()?.bytes);
    store.close();
    if count == 4 { Ok(()) } else { Err("not all messages were seen".into()) }
}
