/** The sections of the account with second factors: an authenticator app (TOTP) and passkeys. */
import { graphql } from '../shared/api.js'
import { announce, copyOf, inputOf, onClick, one, onSubmit, when } from '../shared/view.js'
import { deviceOf } from './device.js'
import { createPasskey, passkeysAreSupported } from './passkey.js'
import { item } from './view.js'

/** @param {HTMLElement} section */
export async function showTotp(section) {
  const { viewer } = await graphql('{ viewer { user { totpEnabled } } }')
  return viewer.user.totpEnabled ? showTotpOn(section) : showTotpOff(section)
}

/** @param {HTMLElement} section @param {string} name @param {Record<string, string>} [texts] */
function showPart(section, name, texts) {
  const part = copyOf(name, texts)
  one(section, '[data-part="state"]').replaceChildren(part)
  return part
}

/** @param {HTMLElement} section */
function showTotpOff(section) {
  const part = showPart(section, 'totp-off')
  onClick(one(part, '[data-action="set-up"]'), async () => {
    const { setUpTotp } = await graphql('mutation { setUpTotp(input: {}) { secret otpauthUrl } }')
    await showTotpSetUp(section, setUpTotp)
  })
}

/** @param {HTMLElement} section @param {{ secret: string, otpauthUrl: string }} totp */
async function showTotpSetUp(section, { secret, otpauthUrl }) {
  const form = showPart(section, 'totp-set-up', { secret: secret.replace(/(.{4})(?=.)/g, '$1 ') })
  // Without the image, the key can still be entered.
  qrCode(otpauthUrl).then(
    (image) => one(form, '[data-part="qr"]').append(image),
    (error) => console.warn(error),
  )
  onClick(one(form, '[data-action="cancel"]'), async () => {
    showTotpOff(section)
    one(section, 'h2').focus()
  })
  onSubmit(form, async ({ code }) => {
    const { enableTotp } = await graphql('mutation ($code: String!) { enableTotp(input: { code: $code }) { recoveryCodes } }', {
      code: code.replace(/\s/g, ''),
    })
    showRecoveryCodes(section, enableTotp.recoveryCodes)
  })
  one(form, 'input').focus()
}

/** @param {HTMLElement} section @param {string[]} codes */
function showRecoveryCodes(section, codes) {
  const part = showPart(section, 'totp-codes')
  const rows = codes.map((text) => {
    const row = document.createElement('li')
    const code = document.createElement('code')
    code.textContent = text
    row.append(code)
    return row
  })
  one(part, 'ul').replaceChildren(...rows)
  onClick(one(part, '[data-action="done"]'), async () => {
    showTotpOn(section)
    one(section, 'h2').focus()
  })
  one(section, 'h2').focus()
  announce('Two-factor authentication is on. Save the recovery codes.')
}

/** @param {HTMLElement} section */
function showTotpOn(section) {
  onSubmit(showPart(section, 'totp-on'), async ({ code }) => {
    await graphql('mutation ($code: String!) { disableTotp(input: { code: $code }) { user { id } } }', { code: code.replace(/\s/g, '') })
    showTotpOff(section)
    one(section, 'h2').focus()
    announce('Two-factor authentication is off.')
  })
}

/**
 * A QR code as SVG, with the quiet zone of 4 modules that readers need.
 * @param {string} text @returns {Promise<SVGElement>}
 */
async function qrCode(text) {
  /** @type {{ default: import('qrcode-generator') }} */
  const { default: qrcode } = await import(new URL('../vendor/qrcode.js', import.meta.url).href)
  const code = qrcode(0, 'M')
  code.addData(text)
  code.make()
  const size = code.getModuleCount()
  let path = ''
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) if (code.isDark(row, column)) path += `M${column} ${row}h1v1h-1z`
  }
  const namespace = 'http://www.w3.org/2000/svg'
  const image = document.createElementNS(namespace, 'svg')
  image.setAttribute('viewBox', `-4 -4 ${size + 8} ${size + 8}`)
  image.setAttribute('role', 'img')
  image.setAttribute('aria-label', 'QR code of the key')
  image.setAttribute('shape-rendering', 'crispEdges')
  const shape = document.createElementNS(namespace, 'path')
  shape.setAttribute('d', path)
  image.append(shape)
  return image
}

/** @typedef {{ id: string, name: string, lastUsedAt: string | null, createdAt: string }} Passkey */

/** @param {HTMLElement} section */
export async function showPasskeys(section) {
  const form = /** @type {HTMLFormElement} */ (one(section, 'form'))
  if (passkeysAreSupported() && form.hidden) offerPasskey(section, form)
  const { viewer } = await graphql('{ viewer { user { passkeys { id name lastUsedAt createdAt } } } }')
  const items = viewer.user.passkeys.map((/** @type {Passkey} */ { id, name, lastUsedAt, createdAt }) =>
    item({
      name,
      detail: `added ${when(createdAt)}, ${lastUsedAt ? `last used ${when(lastUsedAt)}` : 'not used yet'}`,
      button: { text: 'Delete', label: `Delete the passkey ${name}`, act: () => deletePasskey(section, id) },
    }),
  )
  one(section, 'ul').replaceChildren(...items)
}

/** @param {HTMLElement} section @param {HTMLFormElement} form */
function offerPasskey(section, form) {
  form.hidden = false
  inputOf(form, 'name').defaultValue = deviceOf(navigator.userAgent)
  onSubmit(form, async ({ name }) => {
    if (!(await createPasskey(name))) return
    form.reset()
    await showPasskeys(section)
    announce('The passkey is added.')
  })
}

/** @param {HTMLElement} section @param {string} id */
async function deletePasskey(section, id) {
  await graphql('mutation ($id: ID!) { deletePasskey(input: { id: $id }) { deletedId } }', { id })
  await showPasskeys(section)
  one(section, 'h2').focus()
  announce('The passkey is deleted.')
}
