/** Where requests come in: sockets of our own (listener.ts), or somebody else's server (attachments.ts). */
export interface Entrance {
  /** `http://127.0.0.1:3000`, one for each port it listens on. */
  readonly addresses: readonly string[];
  /** Connections of any kind that are open, or half so. */
  sockets(): Promise<number>;
  /** Reads the certificate again; false: there is none. */
  reload(): boolean;
  /** Lets nobody in any more; connections that are open stay. */
  stop(): void;
  /** Ends what is still open. */
  close(): void;
}
