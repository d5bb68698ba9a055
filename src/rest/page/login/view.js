/** Views are templates of the page; one is shown at a time. */
import { announce, copyOf, onClick, one } from '../shared/view.js'

const place = /** @type {HTMLElement} */ (document.getElementById('view'))

/**
 * Shows a view, with `texts` in its elements `data-text`, and moves the focus to its element `data-focus`.
 * @param {string} name @param {Record<string, string>} [texts] @param {string} [part] the one of its elements `data-part` that is kept
 * @returns {HTMLElement}
 */
export function show(name, texts = {}, part) {
  const view = copyOf(name, texts)
  if (part) for (const other of view.querySelectorAll(`[data-part]:not([data-part="${part}"])`)) other.remove()
  announce('')
  place.replaceChildren(view)
  document.title = `${view.querySelector('h1')?.textContent} · Quayside`
  one(view, '[data-focus]').focus()
  return view
}

/**
 * A row of a list, with a button where something can be done.
 * @param {{ name: string, detail: string, button?: { text: string, label: string, act: () => Promise<unknown> } | null }} row
 */
export function item({ name, detail, button }) {
  const row = copyOf('item', { name, detail })
  if (!button) return row
  const element = document.createElement('button')
  element.type = 'button'
  element.className = 'quiet'
  element.textContent = button.text
  element.ariaLabel = button.label
  onClick(element, button.act)
  row.append(element)
  return row
}
