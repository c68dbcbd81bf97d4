//! The sandbox alone, for tests in other languages: `serve --listen 127.0.0.1:PORT --seed N`.

use std::net::SocketAddr;

use tramontane_sandbox::{Config, Sandbox};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = Config::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or("every option takes a value")?;
        match word.as_str() {
            "--listen" => address = value.parse()?,
            "--seed" => config.seed = value.parse()?,
            _ => return Err(format!("{word} is not known; there are --listen and --seed").into()),
        }
    }
    let running = Sandbox::new(&config).start_at(address).await?;
    println!("http://{}", running.address);
    running.wait().await;
    Ok(())
}
