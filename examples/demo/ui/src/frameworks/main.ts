import { byId } from "../dom.js";
import { mountReact } from "./react.js";
import { mountSvelte } from "./svelte.js";
import { mountVue } from "./vue.js";

mountReact(byId("react"));
mountVue(byId("vue"));
mountSvelte(byId("svelte"));
