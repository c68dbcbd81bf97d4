
"use strict";
(function () {
  var MARK = "kloudless:";
  var base = location.pathname.replace(/\/static\/iexd\.html$/, "");
  var button = document.getElementById("continue");
  var asked = null;
  // Each window that was opened, with the origin that it was opened for: a later request of the
  // parent cannot have an earlier window's answer sent elsewhere.
  var opened = [];

  function post(target, origin, message) {
    target.postMessage(MARK + JSON.stringify(message), origin);
  }

  function read(data) {
    if (typeof data !== "string" || data.indexOf(MARK) !== 0) return null;
    try {
      var message = JSON.parse(data.slice(MARK.length));
      return message && typeof message === "object" ? message : null;
    } catch (error) {
      return null;
    }
  }

  function own(text) {
    try {
      var url = new URL(text, location.href);
      var path = url.pathname.replace(/\/+$/, "");
      return url.origin === location.origin && path === base + "/v1/oauth" ? url : null;
    } catch (error) {
      return null;
    }
  }

  function fromParent(event, message) {
    var data = message.data && typeof message.data === "object" ? message.data : message;
    if (message.type === "prepareToOpen" || message.type === "prepareToOpenAuthenticator") {
      var url = own(String(data.url || ""));
      asked = url && { url: url.href, origin: url.searchParams.get("origin"), params: String(data.params || ""), parent: event.origin };
      button.hidden = !asked;
    } else if (message.type === "close") {
      opened.forEach(function (one) { one.window.close(); });
      opened = [];
    } else if (message.type === "proxy") {
      post(event.source, event.origin, { id: message.id, status: 0, statusText: "not supported", responses: {}, headers: "" });
    }
  }

  button.addEventListener("click", function () {
    if (!asked) return;
    var target = window.open(asked.url, "_blank", asked.params);
    if (target) opened.push({ window: target, origin: asked.origin });
    else post(window.parent, asked.parent, { type: "error" });
  });

  window.addEventListener("message", function (event) {
    var message = read(event.data);
    if (!message) return;
    if (event.source === window.parent && window.parent !== window) {
      fromParent(event, message);
      return;
    }
    if (event.origin !== location.origin) return;
    opened.forEach(function (one) {
      if (one.window === event.source && one.origin) window.parent.postMessage(event.data, one.origin);
    });
  });
})();
