//! The traffic: a shop of four services, traced by the official OpenTelemetry SDK.
//!
//! ```text
//! storefront ─HTTP─▶ order ─HTTP─▶ payment ─HTTP─▶ a bank outside
//!                      └─message─▶ email, in traces of its own that link to the orders
//! ```
//!
//! Each service has a tracer provider, with its own Resource, batches and connection. Some
//! payments are declined, some time out, and some goods are sold out. Each service begins traces
//! of its own, because the UI's store lists the services of root spans. Runs on one thread.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanContext, SpanKind, TracerProvider},
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider},
};
use tokio::runtime::Runtime;

use crate::{
    conventions::{cached, call, call_outside, process_orders, query, send_order, serve},
    ledger::{Ledger, Recording},
    timeline::{Chance, Failure, Operation, Timeline},
};

/// Time between two customers: with six spans each, more than a hundred spans a second.
const BETWEEN_CUSTOMERS: Duration = Duration::from_millis(50);

/// Of a hundred customers so many browse, so many look at their order; the others check out.
const BROWSING: u64 = 55;
const LOOKING_AT_ORDER: u64 = 15;

/// Mails leave in batches of so many orders.
const MAIL_BATCH: usize = 3;

/// Payments are settled every so many customers.
const SETTLED_EVERY: u64 = 100;

/// How long a service collects spans; the SDK's five seconds would make the live line jump.
const BATCH_DELAY: Duration = Duration::from_millis(500);

/// How long the bank takes for a charge.
const BANK_MS: f64 = 90.0;

const DECLINED: Failure = Failure::new("CardDeclined", "the bank declined the card", 402);
const SOLD_OUT: Failure = Failure::new("SoldOut", "item 7 of the basket is sold out", 409);
const BANK_SILENT: Failure = Failure::new("TimeoutException", "no answer from the bank", 504);
const MAIL_REFUSED: Failure = Failure::new("SmtpException", "mailbox unavailable", 502);

/// The four services, and the orders that await their e-mails.
pub(crate) struct Shop {
    storefront: Service,
    order: Service,
    payment: Service,
    email: Service,
    chance: Chance,
    unmailed: Vec<SpanContext>,
}

impl Shop {
    /// Sets the shop up to send to `endpoint`; the exporters' connections live on `runtime`.
    ///
    /// # Errors
    /// `endpoint` is no URL.
    pub(crate) fn open(
        runtime: &Runtime,
        endpoint: &str,
        ledger: &Arc<Ledger>,
    ) -> Result<Self, ExporterBuildError> {
        let _entered = runtime.enter();
        let service = |name| Service::start(name, endpoint, ledger);
        Ok(Self {
            storefront: service("storefront")?,
            order: service("order")?,
            payment: service("payment")?,
            email: service("email")?,
            chance: Chance::new(),
            unmailed: Vec::new(),
        })
    }

    /// Serves customers until `closing`, then exports what is left.
    pub(crate) fn run(mut self, closing: &AtomicBool) {
        let mut customers: u64 = 0;
        while !closing.load(Ordering::Relaxed) {
            customers += 1;
            // A failed journey is told by its spans; the shop goes on.
            self.serve_customer().ok();
            if self.unmailed.len() >= MAIL_BATCH {
                self.send_mails().ok();
            }
            if customers.is_multiple_of(SETTLED_EVERY) {
                self.settle_payments().ok();
            }
            thread::sleep(BETWEEN_CUSTOMERS);
        }
        for service in [self.storefront, self.order, self.payment, self.email] {
            // What cannot be exported stays unacknowledged, which the ledger shows.
            service.provider.shutdown().ok();
        }
    }

    fn serve_customer(&mut self) -> Result<(), Failure> {
        match self.chance.below(100) {
            0..BROWSING => self.browse(),
            kind if kind < BROWSING + LOOKING_AT_ORDER => self.look_at_order(),
            _ => self.check_out(),
        }
    }

    /// A product page, from the cache or else from the database.
    fn browse(&mut self) -> Result<(), Failure> {
        let storefront = &self.storefront.tracer;
        let mut timeline = Timeline::begin(&mut self.chance);
        let root = Context::new();
        serve(&mut timeline, storefront, &root, "GET /products/{id}", |timeline, page| {
            timeline.pass(1.0);
            let found = timeline.chance.happens(0.7);
            cached(timeline, storefront, page, found)?;
            if !found {
                let text = "SELECT name, price FROM products WHERE id = $1";
                query(timeline, storefront, page, "SELECT products", text, 6.0)?;
            }
            render(timeline, storefront, page, "render page")
        })
    }

    /// The state of an order, which an app asks without going through the storefront.
    fn look_at_order(&mut self) -> Result<(), Failure> {
        let order = &self.order.tracer;
        let mut timeline = Timeline::begin(&mut self.chance);
        serve(&mut timeline, order, &Context::new(), "GET /orders/{id}", |timeline, context| {
            timeline.pass(1.0);
            let text = "SELECT state FROM orders WHERE id = $1";
            query(timeline, order, context, "SELECT orders", text, 4.0)
        })
    }

    /// The journey through every service: what is bought is reserved, charged, stored and told.
    fn check_out(&mut self) -> Result<(), Failure> {
        let (storefront, order) = (&self.storefront.tracer, &self.order.tracer);
        let payment = &self.payment.tracer;
        let mut timeline = Timeline::begin(&mut self.chance);
        let root = Context::new();
        let placed =
            serve(&mut timeline, storefront, &root, "POST /checkout", |timeline, page| {
                timeline.pass(2.0);
                let hop = (storefront, order);
                let placed = call(timeline, hop, page, "POST /orders", |timeline, context| {
                    reserve(timeline, order, context)?;
                    let hop = (order, payment);
                    call(timeline, hop, context, "POST /payments", |timeline, context| {
                        charge(timeline, payment, context)
                    })?;
                    let text = "INSERT INTO orders (id, customer, total) VALUES ($1, $2, $3)";
                    query(timeline, order, context, "INSERT orders", text, 5.0)?;
                    send_order(timeline, order, context)
                });
                // A failed order has a page too.
                render(timeline, storefront, page, "render page")?;
                placed
            })?;
        self.unmailed.push(placed);
        Ok(())
    }

    /// Takes a batch of orders off the topic.
    fn send_mails(&mut self) -> Result<(), Failure> {
        let email = &self.email.tracer;
        let mut timeline = Timeline::begin(&mut self.chance);
        let orders = mem::take(&mut self.unmailed);
        let count = orders.len();
        timeline.within(email, &Context::new(), process_orders(orders), |timeline, batch| {
            for _ in 0..count {
                render(timeline, email, batch, "render mail")?;
                let refused = timeline.chance.happens(0.02).then_some(MAIL_REFUSED);
                let provider = ("mail.example", "/v1/messages");
                call_outside(timeline, email, batch, provider, 35.0, refused)?;
            }
            Ok(())
        })
    }

    /// The payment service's own job.
    fn settle_payments(&mut self) -> Result<(), Failure> {
        let payment = &self.payment.tracer;
        let mut timeline = Timeline::begin(&mut self.chance);
        let job = Operation::new("settle payments", SpanKind::Internal, []);
        timeline.within(payment, &Context::new(), job, |timeline, job| {
            let text = "SELECT id, amount FROM payments WHERE settled IS NULL";
            query(timeline, payment, job, "SELECT payments", text, 30.0)?;
            call_outside(timeline, payment, job, ("bank.example", "/settlements"), 220.0, None)
        })
    }
}

/// Two queries, of which the second finds that something is sold out now and then.
fn reserve(
    timeline: &mut Timeline<'_>,
    order: &SdkTracer,
    context: &Context,
) -> Result<(), Failure> {
    let text = "SELECT count FROM stock WHERE item = ANY($1) FOR UPDATE";
    query(timeline, order, context, "SELECT stock", text, 4.0)?;
    let check = Operation::new("reserve items", SpanKind::Internal, []);
    timeline.within(order, context, check, |timeline, context| {
        timeline.pass(0.5);
        if timeline.chance.happens(0.04) {
            return Err(SOLD_OUT);
        }
        let text = "UPDATE stock SET count = count - 1 WHERE item = ANY($1)";
        query(timeline, order, context, "UPDATE stock", text, 5.0)
    })
}

/// Asks the bank, a second time when it is silent, and writes down what it said.
fn charge(
    timeline: &mut Timeline<'_>,
    payment: &SdkTracer,
    context: &Context,
) -> Result<(), Failure> {
    let bank = ("bank.example", "/charges");
    if timeline.chance.happens(0.08) {
        // Its span tells of it; the second call decides.
        call_outside(timeline, payment, context, bank, BANK_MS, Some(BANK_SILENT)).ok();
    }
    let refusal = match timeline.chance.below(100) {
        0..4 => Some(DECLINED),
        4..6 => Some(BANK_SILENT),
        _ => None,
    };
    call_outside(timeline, payment, context, bank, BANK_MS, refusal)?;
    let text = "INSERT INTO payments (order_id, amount) VALUES ($1, $2)";
    query(timeline, payment, context, "INSERT payments", text, 5.0)
}

fn render(
    timeline: &mut Timeline<'_>,
    tracer: &SdkTracer,
    context: &Context,
    name: &'static str,
) -> Result<(), Failure> {
    let render = Operation::new(name, SpanKind::Internal, []);
    timeline.within(tracer, context, render, |timeline, _| {
        timeline.pass(3.0);
        Ok(())
    })
}

/// One service as the SDK knows it.
struct Service {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
}

impl Service {
    fn start(
        name: &'static str,
        endpoint: &str,
        ledger: &Arc<Ledger>,
    ) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
        let recording = Recording { exporter, ledger: Arc::clone(ledger) };
        let batches = BatchConfigBuilder::default().with_scheduled_delay(BATCH_DELAY).build();
        let processor = BatchSpanProcessor::builder(recording).with_batch_config(batches).build();
        let resource = Resource::builder()
            .with_service_name(name)
            .with_attributes([
                KeyValue::new("service.namespace", "shop"),
                KeyValue::new("service.version", "1.0.0"),
                KeyValue::new("service.instance.id", format!("{name}-1")),
                KeyValue::new("deployment.environment.name", "demo"),
            ])
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_span_processor(processor)
            .build();
        Ok(Self { tracer: provider.tracer("shop"), provider })
    }
}
