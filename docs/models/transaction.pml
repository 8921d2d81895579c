/* One transactional producer (docs/firing.md; Services/Dispatcher/Service/TransactionalProducer.swift).

   The client reuses its producer epoch from one transaction to the next, as librdkafka does. A request that ends a transaction and was
   repeated can leave a delayed twin on the network, which ends a LATER transaction of the same epoch.
   Checked: nothing is published twice, and a committed cursor implies its fires.

   One defence taken away, which must be found: NORECYCLE (a producer in doubt is used again); with CURSORFIRST besides (the cursor is written
   before the fires) the harm is another one. Run by ./dev models. */
#ifndef N
#define N 3
#endif
#define NONE 0
#define COMMIT 1
#define ABORT 2
byte pe=1, my=1;            /* broker / client producer epoch */
byte openF=0, openC=0;      /* open transaction at the broker: message bitmask, cursor */
byte f[2*N], kW=0;          /* committed messages (2 per batch) and cursor */
byte dW=0, ph=0;            /* client: acknowledged cursor, phase inside the transaction */
byte gT=NONE, gE=0;         /* ghost */
bit tainted=0; byte faults=0, i;
inline fold(){ i=0; do :: i<2*N -> if :: (openF>>i)&1 -> f[i]++; assert(f[i]<=1) :: else fi; i++ :: else -> break od; i=0;
  if :: openC>0 -> kW=openC :: else fi; openF=0; openC=0;
  i=0; do :: i<2*kW -> assert(f[i]==1); i++ :: else -> break od; i=0 }      /* cursor implies messages */
#ifdef NORECYCLE
#define RECYCLE skip
#else
#define RECYCLE if :: tainted -> pe++; my=pe; tainted=0; openF=0; openC=0 :: else fi
#endif
active proctype lane(){
do
:: atomic{ ph==0 && dW<N && my==pe -> RECYCLE; ph=1 }
#ifdef CURSORFIRST
:: atomic{ ph==1 && my==pe -> openC=dW+1; ph=2 }
:: atomic{ ph==2 && my==pe -> openF=openF|(1<<(2*dW)); ph=3 }
:: atomic{ ph==3 && my==pe -> openF=openF|(1<<(2*dW+1)); ph=4 }
#else
:: atomic{ ph==1 && my==pe -> openF=openF|(1<<(2*dW)); ph=2 }
:: atomic{ ph==2 && my==pe -> openF=openF|(1<<(2*dW+1)); ph=3 }
:: atomic{ ph==3 && my==pe -> openC=dW+1; ph=4 }
#endif
:: atomic{ ph==4 && my==pe -> fold(); dW++; ph=0;
     if :: skip :: gT==NONE && faults<2 -> gT=COMMIT; gE=my; tainted=1; faults++ fi }      /* commit, maybe with a delayed twin */
:: atomic{ ph>0 && ph<5 && my==pe && faults<2 -> openF=0; openC=0; ph=0; faults++;          /* abort, maybe with a delayed twin */
     if :: skip :: gT==NONE -> gT=ABORT; gE=my; tainted=1 fi }
:: atomic{ gT!=NONE -> if :: gE==pe && gT==COMMIT -> fold() :: gE==pe && gT==ABORT -> openF=0; openC=0 :: else fi; gT=NONE; gE=0 }
:: atomic{ faults<3 && pe<8 -> pe++; my=pe; tainted=0; openF=0; openC=0; ph=0; dW=kW; faults++ }  /* crash + takeover: re-read the committed cursor */
od }
