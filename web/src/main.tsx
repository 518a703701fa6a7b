import "./design/tokens.css";
import { i18n } from "@lingui/core";
import { I18nProvider } from "@lingui/react";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { I18nProvider as AriaI18nProvider } from "react-aria-components";
import { onSignedOut } from "./api/client";
import { live } from "./api/live";
import { client, router } from "./router";
import { activate } from "./words/i18n";
import { useLingui } from "@lingui/react";

function Words({ children }: { children: React.ReactNode }) {
  const { i18n: words } = useLingui();
  return <AriaI18nProvider locale={words.locale}>{children}</AriaI18nProvider>;
}

onSignedOut(() => {
  live.end(client);
  client.removeQueries({ queryKey: ["session"] });
  const here = router.state.location;
  if (here.pathname !== "/signin") void router.navigate({ to: "/signin", search: { next: here.href } });
});

const root = document.getElementById("root");
if (!root) throw new Error("the page has no root");
await activate();
createRoot(root).render(
  <StrictMode>
    <I18nProvider i18n={i18n}>
      <Words>
        <QueryClientProvider client={client}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </Words>
    </I18nProvider>
  </StrictMode>,
);
