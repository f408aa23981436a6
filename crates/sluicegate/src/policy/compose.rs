//! Closures, tuples, and policies that are shared or absent.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{DynPolicy, Failure, OriginResponse, Policy, Request, Route, Verdict};
use crate::message::response::Response;
use crate::record::{Client, Fault, Record};

impl<F: Fn(&mut Request<'_>, &Client) -> Verdict + Send + Sync + 'static> Policy for F {
    async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
        self(request, client)
    }

    fn records(&self) -> bool {
        false
    }
}

/// Passes every question on.
macro_rules! pass_on {
    ([$($generics:tt)*] $of:ty, |$this:ident| $find:expr) => {
        impl<$($generics)*> Policy for $of {
            fn accept(&self, client: &Client) -> bool {
                let $this = self;
                $find.is_none_or(|inner| inner.accept(client))
            }

            async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
                let $this = self;
                match $find {
                    Some(inner) => inner.admit(request, client).await,
                    None => Verdict::Forward(Route::target()),
                }
            }

            fn respond(&self, response: &mut OriginResponse<'_>, client: &Client) {
                let $this = self;
                if let Some(inner) = $find {
                    inner.respond(response, client);
                }
            }

            fn failed(&self, failure: &Failure<'_>, answer: Response) -> Response {
                let $this = self;
                match $find {
                    Some(inner) => inner.failed(failure, answer),
                    None => answer,
                }
            }

            fn address(&self, client: &Client, address: SocketAddr) -> Result<(), Fault> {
                let $this = self;
                $find.map_or(Ok(()), |inner| inner.address(client, address))
            }

            fn records(&self) -> bool {
                let $this = self;
                $find.is_some_and(|inner| inner.records())
            }

            fn ended(&self, record: &Record<'_>) {
                let $this = self;
                if let Some(inner) = $find {
                    inner.ended(record);
                }
            }

            fn refused(&self, record: &Record<'_>) {
                let $this = self;
                if let Some(inner) = $find {
                    inner.refused(record);
                }
            }
        }
    };
}

pass_on!([P: Policy + ?Sized] Arc<P>, |this| Some(&**this));
pass_on!([P: Policy] Option<P>, |this| this.as_ref());
// Of any other policy the compiler could not tell that its box is no function.
pass_on!([] Box<dyn DynPolicy>, |this| Some(&**this));

/// A tuple notes how many of its members it has asked, and tells those: see [`Members`](crate::record::Members). What stands between it
/// and the proxy, or another tuple, need know nothing of that.
macro_rules! tuple {
    ($($member:ident $place:tt),+) => {
        impl<$($member: Policy),+> Policy for ($($member,)+) {
            fn accept(&self, client: &Client) -> bool {
                true $(&& self.$place.accept(client))+
            }

            async fn admit(&self, request: &mut Request<'_>, client: &Client) -> Verdict {
                let mut chosen = Route::target();
                let records = self.records();
                $(
                    if records {
                        request.asked.note(self, 1 + $place);
                    }
                    match self.$place.admit(request, client).await {
                        Verdict::Forward(route) => chosen.join(route),
                        refused => return refused,
                    }
                )+
                Verdict::Forward(chosen)
            }

            fn respond(&self, response: &mut OriginResponse<'_>, client: &Client) {
                reversed!([$(self.$place),+] respond(response, client));
            }

            fn failed(&self, failure: &Failure<'_>, answer: Response) -> Response {
                answered!([$(self.$place),+] failure, answer)
            }

            fn address(&self, client: &Client, address: SocketAddr) -> Result<(), Fault> {
                $(self.$place.address(client, address)?;)+
                Ok(())
            }

            fn records(&self) -> bool {
                false $(|| self.$place.records())+
            }

            fn ended(&self, record: &Record<'_>) {
                let asked = record.asked.count(self);
                $(
                    if asked > $place && self.$place.records() {
                        self.$place.ended(record);
                    }
                )+
            }

            fn refused(&self, record: &Record<'_>) {
                $(if self.$place.records() { self.$place.refused(record); })+
            }
        }
    };
}

/// The same call of each, the last first.
macro_rules! reversed {
    ([$first:expr $(, $rest:expr)*] $method:ident($response:ident, $client:ident)) => {
        reversed!([$($rest),*] $method($response, $client));
        $first.$method($response, $client);
    };
    ([] $method:ident($response:ident, $client:ident)) => {};
}

/// What each makes of the answer of those behind it.
macro_rules! answered {
    ([$first:expr $(, $rest:expr)*] $failure:ident, $answer:ident) => {
        $first.failed($failure, answered!([$($rest),*] $failure, $answer))
    };
    ([] $failure:ident, $answer:ident) => { $answer };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
