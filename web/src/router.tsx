/** Where each page is. Pages are loaded when they are first opened. */
import { QueryClient } from "@tanstack/react-query";
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { live } from "./api/live";
import { sessionQuery } from "./api/session";
import { NotFound, PageProblem } from "./shell/PageProblem";
import { Shell } from "./shell/Shell";

export const client = new QueryClient({ defaultOptions: { queries: { retry: false, refetchOnWindowFocus: false } } });

const root = createRootRoute({ notFoundComponent: NotFound });

const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined);

/** Keeps what is known of the search part and drops the rest. */
function searchOf<const K extends string>(...keys: K[]) {
  return (raw: Record<string, unknown>) => {
    const known: { [key in K]?: string } = {};
    for (const key of keys) {
      const value = text(raw[key]);
      if (value !== undefined) known[key] = value;
    }
    return known;
  };
}

const signin = createRoute({
  getParentRoute: () => root,
  path: "/signin",
  validateSearch: searchOf("next"),
  component: lazyRouteComponent(() => import("./pages/SignIn"), "SignIn"),
});

const shell = createRoute({
  getParentRoute: () => root,
  id: "shell",
  component: Shell,
  errorComponent: PageProblem,
  notFoundComponent: NotFound,
  beforeLoad: async ({ location }) => {
    const session = await client.ensureQueryData(sessionQuery);
    if (!session) {
      client.removeQueries({ queryKey: sessionQuery.queryKey });
      throw redirect({ to: "/signin", search: location.href === "/" ? {} : { next: location.href } });
    }
    live.start(client);
  },
});

const parent = { getParentRoute: () => shell };
const pages = [
  createRoute({ ...parent, path: "/", component: lazyRouteComponent(() => import("./pages/Dashboard"), "Dashboard") }),
  createRoute({ ...parent, path: "/layers", component: lazyRouteComponent(() => import("./pages/Layers"), "Layers") }),
  createRoute({ ...parent, path: "/vms", validateSearch: searchOf("q", "phase", "sort"), component: lazyRouteComponent(() => import("./pages/Vms"), "Vms") }),
  createRoute({ ...parent, path: "/vms/new", validateSearch: searchOf("image"), component: lazyRouteComponent(() => import("./pages/VmCreate"), "VmCreate") }),
  createRoute({ ...parent, path: "/import", component: lazyRouteComponent(() => import("./pages/ImportVm"), "ImportVm") }),
  createRoute({ ...parent, path: "/vms/$name/{-$tab}", component: lazyRouteComponent(() => import("./pages/VmPage"), "VmPage") }),
  createRoute({ ...parent, path: "/hosts", component: lazyRouteComponent(() => import("./pages/Hosts"), "Hosts") }),
  createRoute({ ...parent, path: "/hosts/$name", component: lazyRouteComponent(() => import("./pages/HostPage"), "HostPage") }),
  createRoute({ ...parent, path: "/templates", component: lazyRouteComponent(() => import("./pages/Templates"), "Templates") }),
  createRoute({ ...parent, path: "/flavors", component: lazyRouteComponent(() => import("./pages/Flavors"), "Flavors") }),
  createRoute({ ...parent, path: "/surveys", component: lazyRouteComponent(() => import("./pages/Surveys"), "Surveys") }),
  createRoute({ ...parent, path: "/collections/$name", component: lazyRouteComponent(() => import("./pages/CollectionPage"), "CollectionPage") }),
  createRoute({ ...parent, path: "/plans", component: lazyRouteComponent(() => import("./pages/Plans"), "Plans") }),
  createRoute({ ...parent, path: "/plans/$name/{-$tab}", component: lazyRouteComponent(() => import("./pages/PlanPage"), "PlanPage") }),
  createRoute({ ...parent, path: "/images", component: lazyRouteComponent(() => import("./pages/Images"), "Images") }),
  createRoute({ ...parent, path: "/networks", component: lazyRouteComponent(() => import("./pages/Networks"), "Networks") }),
  createRoute({ ...parent, path: "/pools", component: lazyRouteComponent(() => import("./pages/Pools"), "Pools") }),
  createRoute({ ...parent, path: "/disks", component: lazyRouteComponent(() => import("./pages/Disks"), "Disks") }),
  createRoute({ ...parent, path: "/tokens", component: lazyRouteComponent(() => import("./pages/Tokens"), "Tokens") }),
  createRoute({ ...parent, path: "/events", validateSearch: searchOf("about", "level"), component: lazyRouteComponent(() => import("./pages/Events"), "Events") }),
  // With the navigation around it, for whoever mistyped an address.
  createRoute({ ...parent, path: "$", component: NotFound }),
  createRoute({ ...parent, path: "/audit", component: lazyRouteComponent(() => import("./pages/Audit"), "Audit") }),
];

export const router = createRouter({
  routeTree: root.addChildren([signin, shell.addChildren(pages)]),
  defaultPreload: "intent",
  defaultErrorComponent: PageProblem,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
