/** A page in a DOM without a browser: its own modules, on the document that a real server serves, with the cookies that it sets. */
import { join } from 'node:path'
import { JSDOM } from 'jsdom'
import { vi } from 'vitest'
import { until } from '../support/wait.ts'

const realFetch = globalThis.fetch
const pages = join(import.meta.dirname, '../../src/rest/page')

export type Visitor = {
  /** The requests so far, as method and path with the status of the answer. */
  sent: string[]
  /** Addresses that the page has left for. */
  left: string[]
  /** Opens the page, for example at `#forgot`, and returns it when its main module has run. */
  open(place?: string): Promise<Page>
  /** The value of a cookie. */
  cookie(name: string): string | undefined
  forget(name: string): void
  /** Sends a request as the page would. */
  send(path: string, init?: RequestInit): Promise<Response>
}

export type Page = {
  title(): string
  /** Hash of the address. */
  hash(): string
  text(): string
  /** Name of the input that has the focus, otherwise its element. */
  focus(): string
  /** Waits for a text. */
  shows(text: string): Promise<void>
  /** Fills in the inputs of the form that has them, and submits it. */
  submit(values: Record<string, string>): void
  click(text: string): void
  /** Whether a button can be used. Throws if there is none with this text. */
  isEnabled(text: string): boolean
  /** Texts of the cells of a table's rows, by the ID of its section. */
  rows(section: string): string[][]
  /** Texts of the items of a list with a class. */
  items(name: string): string[]
}

/** What browsers have and this DOM lacks: dialogs that are modal, and what pages are drawn by. */
function complete(window: JSDOM['window']): Record<string, unknown> {
  const { prototype } = window.HTMLDialogElement
  prototype.showModal = function () {
    this.open = true
    this.querySelector<HTMLElement>('[autofocus]')?.focus()
  }
  prototype.close = function () {
    this.open = false
    this.dispatchEvent(new window.Event('close'))
  }
  return {
    ResizeObserver: class {
      observe() {}
    },
    matchMedia: () => new window.EventTarget(),
  }
}

/** Somebody with a browser of their own, who visits a page. */
export function createVisitor(url: string, path: '/login' | '/bridge' = '/login'): Visitor {
  const origin = new URL(url).origin
  const cookies = new Map<string, { value: string; path: string }>()
  const [sent, left]: [string[], string[]] = [[], []]

  async function send(path: string, init: RequestInit = {}): Promise<Response> {
    const target = new URL(path, origin)
    const cookie = [...cookies]
      .filter(([, { path }]) => target.pathname.startsWith(path))
      .map(([name, { value }]) => `${name}=${value}`)
      .join('; ')
    const response = await realFetch(target, { ...init, headers: { ...init.headers, origin, ...(cookie && { cookie }) } })
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!
      const path = /; ?path=([^;]+)/i.exec(line)?.[1] ?? '/'
      if (/; ?max-age=0\b/i.test(line)) cookies.delete(name!)
      else cookies.set(name!, { value: value!, path })
    }
    sent.push(`${init.method ?? 'GET'} ${target.pathname} ${response.status}`)
    return response
  }

  async function open(place = ''): Promise<Page> {
    const served = await send(path, { headers: { accept: 'text/html' }, redirect: 'manual' })
    if (served.status !== 200) throw new Error(`${path} answers ${served.status} ${served.headers.get('location')}`)
    const { window } = new JSDOM(await served.text(), { url: `${origin}${path}${place}`, pretendToBeVisual: true })
    const { document } = window
    const location = {
      ...{ origin, pathname: path, replace: (address: string) => left.push(address) },
      get hash() {
        return window.location.hash
      },
      get search() {
        return window.location.search
      },
    }
    vi.resetModules()
    for (const [name, value] of Object.entries({
      ...{ document, location, history: window.history, navigator: {}, fetch: send, CSS: { escape: (text: string) => text } },
      ...{ FormData: window.FormData, Element: window.Element, addEventListener: window.addEventListener.bind(window) },
      ...complete(window),
    })) {
      vi.stubGlobal(name, value)
    }
    await import(join(pages, path, 'main.js'))
    const find = <T extends Element>(selector: string, has: (element: T) => boolean): T => {
      const room = document.querySelector('dialog[open]') ?? document.querySelector('main')!
      const found = [...room.querySelectorAll<T>(selector)].find(has)
      if (!found) throw new Error(`no such ${selector} on the page: ${shown()}`)
      return found
    }
    const shown = () =>
      [...document.querySelectorAll('main, dialog')]
        .map((part) => part.textContent)
        .join(' ')
        .replaceAll(/\s+/g, ' ')
    return {
      title: () => document.title,
      hash: () => window.location.hash,
      text: shown,
      focus: () => document.activeElement!.getAttribute('name') ?? document.activeElement!.tagName.toLowerCase(),
      async shows(text) {
        await until(`"${text}" is shown`, () => shown().includes(text), 30_000).catch((error: Error) => {
          throw new Error(`${error.message}, instead of: ${shown()}`)
        })
      },
      submit(values) {
        const names = Object.keys(values)
        const form = find<HTMLFormElement>('form', (form) => names.every((name) => form.querySelector(`[name="${name}"]`)))
        for (const [name, value] of Object.entries(values)) form.querySelector<HTMLInputElement>(`[name="${name}"]`)!.value = value
        form.requestSubmit()
      },
      isEnabled: (text) => !find<HTMLButtonElement>('button', (element) => element.textContent!.trim() === text).disabled,
      rows: (section) =>
        [...document.querySelectorAll<HTMLTableRowElement>(`#${section} tbody tr`)].map(({ cells }) =>
          [...cells].map((cell) => cell.textContent!),
        ),
      items: (name) => [...document.querySelectorAll(`ul.${name} > li`)].map((item) => item.textContent!),
      click: (text) => find<HTMLElement>('button, a', (element) => element.textContent!.trim() === text).click(),
    }
  }
  return { sent, left, open, send, cookie: (name) => cookies.get(name)?.value, forget: (name) => cookies.delete(name) }
}
