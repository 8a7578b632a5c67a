// What a person sees at `/`: in a browser the built-in page, with anything else a list in plain text.
//
// The page is serving/http/page/*, put together at build into one file. It loads nothing: its policy (CSP level 2) lets only the style and
// the script run that were built in, known by their hashes, and lets the script talk to this server alone.
#pragma once

#include <span>

#include "serving/gate/backend.h"
#include "serving/http/http_message.h"

namespace tandem {

// `Accept` of the request asks for HTML, as browsers do and curl does not.
bool wants_page(const HttpRequest& request);
HttpResponse status_page();
// All listings, a line each.
HttpResponse status_text(const ServerIdentity& identity, std::span<const ModelListing> listings);

// Whether a page of some other site has a browser send this (Fetch Metadata): nothing that changes the server is done for such.
bool comes_from_elsewhere(const HttpRequest& request);

}  // namespace tandem
