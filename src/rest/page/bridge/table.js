/** Rows of the tables. */

/** @typedef {{ text: string, kind?: string, heads?: boolean, code?: boolean, child?: Node }} Cell */

/** @param {HTMLElement} body @param {Cell[][]} rows @param {string} none what to say without rows */
export function fill(body, rows, none) {
  // It scrolls where it is too large, also by the keyboard.
  const scroller = /** @type {HTMLElement | null} */ (body.closest('.scroll'))
  if (scroller) scroller.tabIndex = 0
  const columns = body.closest('table')?.querySelectorAll('thead th').length ?? 1
  body.replaceChildren(...(rows.length > 0 ? rows.map(rowOf) : [emptyRow(none, columns)]))
}

/** @param {Cell[]} cells */
function rowOf(cells) {
  const row = document.createElement('tr')
  row.append(...cells.map(cellOf))
  return row
}

/** @param {Cell} cell */
function cellOf({ text, kind, heads, code, child }) {
  const cell = document.createElement(heads ? 'th' : 'td')
  if (heads) cell.setAttribute('scope', 'row')
  if (kind) cell.className = kind
  if (child) cell.append(child)
  else if (code) cell.append(codeOf(text))
  else cell.textContent = text
  return cell
}

/** @param {string} text */
function codeOf(text) {
  const code = document.createElement('code')
  code.textContent = text
  return code
}

/** @param {string} text @param {number} columns */
function emptyRow(text, columns) {
  const row = rowOf([{ text, kind: 'empty' }])
  row.firstElementChild?.setAttribute('colspan', String(columns))
  return row
}

/** A word of the API, as people write it. @param {string} word */
export const capitalised = (word) => word.charAt(0).toUpperCase() + word.slice(1)
