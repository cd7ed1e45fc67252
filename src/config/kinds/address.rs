//! Addresses: listeners, ports, brokers, the backend.

use std::net::IpAddr;

use super::Kind;

/// The address of a listener.
pub(in crate::config) struct Address;

impl Kind for Address {
    type Value = IpAddr;
    const PLACEHOLDER: &'static str = "ADDRESS";

    fn allowed(&self) -> String {
        "an IPv4 or IPv6 address, such as 127.0.0.1, 0.0.0.0 or ::".to_owned()
    }

    fn parse(&self, raw: &str) -> Result<IpAddr, String> {
        raw.parse().map_err(|_| "not an IP address".to_owned())
    }

    fn show(&self, address: &IpAddr) -> String {
        address.to_string()
    }
}

/// The port of a listener.
pub(in crate::config) struct Port;

impl Kind for Port {
    type Value = u16;
    const PLACEHOLDER: &'static str = "PORT";

    fn allowed(&self) -> String {
        "0 (the system chooses) to 65535".to_owned()
    }

    fn parse(&self, raw: &str) -> Result<u16, String> {
        // A Service called `grpc` or `http` in the pod's namespace sets GRPC_PORT or HTTP_PORT.
        if raw.starts_with("tcp://") || raw.starts_with("udp://") {
            return Err("a Kubernetes service link and not a port: set `enableServiceLinks: \
                        false` in the pod's spec, or set the port by its flag"
                .to_owned());
        }
        raw.parse().map_err(|_| "not a port".to_owned())
    }

    fn show(&self, port: &u16) -> String {
        port.to_string()
    }
}

/// Brokers as librdkafka takes them.
pub(in crate::config) struct Brokers;

impl Kind for Brokers {
    type Value = String;
    const PLACEHOLDER: &'static str = "HOST:PORT,...";

    fn allowed(&self) -> String {
        "host:port of one or more brokers, separated by commas".to_owned()
    }

    fn parse(&self, raw: &str) -> Result<String, String> {
        // Of the whole text: a comma in a password would make a broker of one half.
        if raw.contains('@') {
            return Err(CREDENTIALS.to_owned());
        }
        let mut brokers = Vec::new();
        for broker in raw.split(',').map(str::trim) {
            if broker.contains("://") {
                return Err("has a scheme: the protocol is `security.protocol` in \
                            KAFKA_PRODUCER_CONFIG and KAFKA_CONSUMER_CONFIG"
                    .to_owned());
            }
            host_port(broker)?;
            brokers.push(broker);
        }
        Ok(brokers.join(","))
    }

    fn show(&self, brokers: &String) -> String {
        brokers.clone()
    }

    fn mask(&self, raw: &str) -> String {
        mask_userinfo(raw)
    }
}

/// The backend, kept as a URI of scheme, host and port.
pub(in crate::config) struct Endpoint;

impl Kind for Endpoint {
    type Value = String;
    const PLACEHOLDER: &'static str = "HOST:PORT";

    fn allowed(&self) -> String {
        "host:port or http://host:port, or https://host:port for TLS".to_owned()
    }

    fn parse(&self, raw: &str) -> Result<String, String> {
        if raw.contains('@') {
            return Err(CREDENTIALS.to_owned());
        }
        let (scheme, rest) = split_scheme(raw).unwrap_or(("http", raw));
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(format!("the scheme `{scheme}` is not known"));
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err("OTLP/gRPC has no path, query or fragment".to_owned());
        }
        host_port(authority)?;
        Ok(format!("{scheme}://{authority}"))
    }

    fn show(&self, endpoint: &String) -> String {
        endpoint.clone()
    }

    /// A path or a query may hold a key that another product wants there.
    fn mask(&self, raw: &str) -> String {
        let authority = split_scheme(raw).map_or(raw, |(_, rest)| rest);
        let Some(end) = authority.find(['/', '?', '#']) else { return mask_userinfo(raw) };
        let (shown, hidden) = raw.split_at(raw.len() - authority.len() + end + 1);
        match hidden {
            "" => mask_userinfo(shown),
            // Either of them may be a password with a slash in it.
            _ if hidden.contains('@') => "***".to_owned(),
            _ => mask_userinfo(shown) + "***",
        }
    }
}

/// Scheme and what follows it; a `://` in a path or a query begins nothing.
fn split_scheme(raw: &str) -> Option<(&str, &str)> {
    raw.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?', '#']))
}

/// Splits `host:port`, where an IPv6 host is in brackets; the error says what is wrong.
pub(in crate::config) fn host_port(raw: &str) -> Result<(&str, u16), String> {
    if raw.is_empty() {
        return Err("an address is missing".to_owned());
    }
    if raw.contains('@') {
        return Err(CREDENTIALS.to_owned());
    }
    let (host, port) = raw.rsplit_once(':').ok_or_else(|| format!("`{raw}` has no port"))?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let legal = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None if host.contains(':') => return Err("an IPv6 address needs brackets".to_owned()),
        None => {
            let known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !host.is_empty() && host.chars().all(known)
        }
    };
    if !legal {
        return Err(format!("`{host}` is not a host"));
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(format!("`{port}` is not a port from 1 to 65535")),
        Ok(port) => Ok((bracketed.unwrap_or(host), port)),
    }
}

const CREDENTIALS: &str = "credentials in an address are not supported";

/// Hides what stands before an `@`: it may be a password put where none belongs.
fn mask_userinfo(raw: &str) -> String {
    raw.rsplit_once('@').map_or_else(|| raw.to_owned(), |(_, host)| format!("***@{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An endpoint with or without a scheme becomes one form of URI.
    #[test]
    fn endpoints_are_normalised() {
        for (raw, uri) in [
            ("jaeger:4317", "http://jaeger:4317"),
            ("http://jaeger:4317", "http://jaeger:4317"),
            ("HTTPS://traces.example.com:443/", "https://traces.example.com:443"),
            ("[::1]:4317", "http://[::1]:4317"),
        ] {
            assert_eq!(Endpoint.parse(raw).as_deref(), Ok(uri));
            assert_eq!(Endpoint.parse(uri).as_deref(), Ok(uri));
        }
    }

    /// What an OTLP/gRPC endpoint cannot have is refused by name.
    #[test]
    fn other_endpoints_are_refused() {
        for (raw, why) in [
            ("jaeger", "has no port"),
            ("", "missing"),
            ("grpc://jaeger:4317", "scheme `grpc`"),
            ("http://jaeger:4318/v1/traces", "no path"),
            ("jaeger:4317?x=1", "no path"),
            ("user:pw@jaeger:4317", "credentials"),
            ("jaeger:99999", "not a port"),
            ("jaeger:0", "not a port"),
            ("::1:4317", "brackets"),
            ("ja eger:4317", "not a host"),
        ] {
            let error = Endpoint.parse(raw).unwrap_err();
            assert!(error.contains(why), "{raw}: {error}");
        }
    }

    /// What may be a credential is in no error, wherever its own characters cut it.
    #[test]
    fn errors_show_no_credential() {
        for raw in [
            "http://u:canary@jaeger:4317",
            "u:can/canary@jaeger:4317",
            "http://jaeger:4317/canary",
            "http://jaeger:4317/a@canary",
            "jaeger:4317?u=http://a&key=canary",
            "jaeger:4317?key=canary://a",
            "u@jaeger:4317/?u=http://a&key=canary",
        ] {
            let shown = format!("{} {}", Endpoint.parse(raw).unwrap_err(), Endpoint.mask(raw));
            assert!(!shown.contains("canary"), "{raw}: {shown}");
        }
        for raw in ["u:canary,x@a:9092", "u:x,canary@a:9092", "u://canary@a:9092"] {
            let shown = format!("{} {}", Brokers.parse(raw).unwrap_err(), Brokers.mask(raw));
            assert!(!shown.contains("canary"), "{raw}: {shown}");
        }
        assert_eq!(Endpoint.mask("http://jaeger:4317/v1"), "http://jaeger:4317/***");
        assert_eq!(Endpoint.mask("ftp://jaeger:4317/"), "ftp://jaeger:4317/");
    }

    /// Brokers are a list of host:port; blanks around commas do not matter.
    #[test]
    fn brokers_are_checked() {
        assert_eq!(Brokers.parse("a:9092, b:9093").as_deref(), Ok("a:9092,b:9093"));
        for raw in ["a", "a:9092,", "SASL_SSL://a:9092", "http://a:9092", "a:b"] {
            assert!(Brokers.parse(raw).is_err(), "{raw}");
        }
    }
}
