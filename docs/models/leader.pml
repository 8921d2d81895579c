/* Who leads and who owns (docs/cluster.md; Services/Coordinator/Domain/LeaderElection.swift, Assignments.swift, Shared/PostgresStore).

   Two coordinators, one leader row, one shard, two tickers. A coordinator that has seen the row unchanged takes over by compare-and-set; how long it
   waits is left open, so that every length of every lease is covered, also none (a restarted coordinator that finds its own address does not wait).
   A leader is paused for any time and believes that it still leads; claims are written with the epoch that their writer read before; their answers
   may be lost, and are read back.
   Checked: an epoch of the leader is led at most once; an epoch of the shard has one owner, also in what tickers were told; nobody is told what
   is not in the database; no leader's claim is written after a later leader has begun.

   One defence taken away, which must be found: NOTAKECAS (a takeover does not compare), NOFENCE (claims do not carry the leader's epoch),
   NOCLAIMCAS (a claim does not compare the shard's epoch), TELLFIRST (an owner is told before the claim is written). Run by ./dev models. */
#ifndef MAXL
#define MAXL 4
#endif
#ifndef MAXS
#define MAXS 4
#endif
#define NOBODY 3
byte rowEpoch=0, rowBeat=0;              /* the leader row; beats are counted within an epoch */
byte shardEpoch=0, shardOwner=NOBODY;    /* the shard's row */
byte lastWriter=0;                       /* the leader's epoch of the last claim */
bool led[MAXL+1];                        /* epochs that were led */
byte owner[MAXS+1];                      /* plus one: who was told, or written, under each epoch of the shard */
byte seenEpoch[2], seenBeat[2]; bool looked[2];
byte leads[2];                           /* the epoch a coordinator believes to lead under; 0 for none */
byte known[2];                           /* the shard's epoch as it knows it; it claims the one above */
bool sent[2]; byte wanted[2];            /* a claim on its way, and for whom */
byte gL=0, gK=0, gT=0;                  /* a claim whose writer has stopped waiting for it */

inline note(e,o){ assert(owner[e]==0 || owner[e]==o+1); owner[e]=o+1 }
inline tell(e,o){ note(e,o); assert(shardEpoch>=e) }

inline look(c){ atomic{ leads[c]==0 -> looked[c]=1; seenEpoch[c]=rowEpoch; seenBeat[c]=rowBeat } }
inline take(c){ atomic{ looked[c] && leads[c]==0 && seenEpoch[c]<MAXL && rowEpoch<MAXL ->
#ifdef NOTAKECAS
     if :: 1
#else
     if :: rowEpoch==seenEpoch[c] && rowBeat==seenBeat[c]
#endif
          -> rowEpoch=seenEpoch[c]+1; rowBeat=0; assert(!led[rowEpoch]); led[rowEpoch]=1;
             leads[c]=rowEpoch; known[c]=shardEpoch
        :: else fi; looked[c]=0; seenEpoch[c]=0; seenBeat[c]=0 } }
inline renew(c){ atomic{ leads[c]!=0 ->
     if :: rowEpoch==leads[c] -> rowBeat=1-rowBeat :: else -> leads[c]=0; known[c]=0; sent[c]=0; wanted[c]=0 fi } }
/* Decides, and sends the claim; the claim may be late by any time. */
inline decide(c,t){ atomic{ leads[c]!=0 && !sent[c] && known[c]<MAXS -> sent[c]=1; wanted[c]=t;
#ifdef TELLFIRST
     tell(known[c]+1,t)
#endif
     } }
#ifdef NOFENCE
#define FENCED(l) 1
#else
#define FENCED(l) (rowEpoch==l)
#endif
#ifdef NOCLAIMCAS
#define COMPARED(k) 1
#else
#define COMPARED(k) (shardEpoch==k)
#endif
inline write(l,k,t){ assert(l>=lastWriter); lastWriter=l; shardEpoch=k+1; shardOwner=t; note(shardEpoch,t) }
inline claim(c){ atomic{ sent[c] ->
     if :: FENCED(leads[c]) && COMPARED(known[c]) -> write(leads[c],known[c],wanted[c]); known[c]=shardEpoch; tell(shardEpoch,wanted[c])
        :: else -> known[c]=shardEpoch        /* a lost race: read the row again */
     fi; sent[c]=0; wanted[c]=0 } }
/* No answer: the row is read again, and the claim may still be written, at any time. */
inline doubt(c){ atomic{ sent[c] && gL==0 -> gL=leads[c]; gK=known[c]; gT=wanted[c]; known[c]=shardEpoch; sent[c]=0; wanted[c]=0 } }
inline late(){ atomic{ gL!=0 -> if :: FENCED(gL) && COMPARED(gK) -> write(gL,gK,gT) :: else fi; gL=0; gK=0; gT=0 } }
/* Ends, and starts again knowing nothing; a claim that was sent may still arrive, which a paused leader covers. */
inline crash(c){ atomic{ leads[c]!=0 -> leads[c]=0; known[c]=0; sent[c]=0; wanted[c]=0; looked[c]=0 } }

active proctype sys(){
do
:: look(0) :: look(1)
:: take(0) :: take(1)
:: renew(0) :: renew(1)
:: decide(0,0) :: decide(0,1) :: decide(1,0) :: decide(1,1)
:: claim(0) :: claim(1)
:: doubt(0) :: doubt(1)
:: late()
:: crash(0) :: crash(1)
od }
