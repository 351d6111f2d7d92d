import { mount } from "svelte";

import Card from "./Card.svelte";

export function mountSvelte(place: HTMLElement): void {
  mount(Card, { target: place });
}
