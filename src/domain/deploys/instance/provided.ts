/** The ports of this room, as main provides them. */
import { definePort } from '../../../platform/port.ts'
import type { Router, RouterProbe, Runtime } from './ports.ts'

export const runtimePort = definePort<Runtime>('runtime')
export const routerPort = definePort<Router>('router')
export const routerProbePort = definePort<RouterProbe>('router probe')
