/* One lane, from due to committed (docs/firing.md; Services/Dispatcher/Domain/Lane.swift, Services/Ticker/Domain/ShardFiring.swift).

   Two tickers, two dispatchers, one shard, one lane. A schedule fires at the instants 1..T; another one is created while they run. The shard is
   given away without the old owner being told; an open is answered when its epoch is durable in the journal; answers are lost, fires are lost
   and overtake each other; dispatchers end before a commit, and owners that were fenced go on until they notice.
   Checked: nothing is published twice, and nothing at or below the committed cursor is missing.

   Switches. Bounds: T instants, MAXPE takeovers of the lane, MAXE epochs of the shard, CAP fires on their way.
   One defence taken away, which must be found: SEQONLY (a batch counts instead of naming the cursor it starts from), NOCAS (neither), NOPFENCE
   (Kafka does not fence the old producer), NOREVGUARD (a ticker fires with fewer changes than the journal has seen), NOLATE (what fell due
   before its owner knew it is not fired). Taken away without harm, because the cursor alone is enough: EPOCH_VOLATILE, NOEPOCH.
   Run by ./dev models. */
#ifndef T
#define T 2
#endif
#ifndef MAXPE
#define MAXPE 3
#endif
#ifndef MAXE
#define MAXE 3
#endif
#ifndef CAP
#define CAP 2
#endif
#define NOX 7
#ifdef NOLATE
#define LATEC(t) (i>tW[t])
#else
#define LATEC(t) (i>tW[t] || tR[t]==0)
#endif
#ifdef NOREVGUARD
#define REVG(t) 1
#else
#define REVG(t) (tRev[t]>=tR[t])
#endif
#ifdef NOEPOCH
#define EPO(d) 1
#define EPV(d) 1
#else
#define EPO(d) (tE[t]>=dE[d])
#define EPV(d) (e==dE[d])
#endif
#if defined(NOCAS)
#define CAS(d) 1
#elif defined(SEQONLY)
#define CAS(d) (s==dS[d]+1)
#else
#define CAS(d) (fw==dW[d] && fr==dR[d])
#endif
#ifdef NOPFENCE
#define LIVE(d) 1
#else
#define LIVE(d) (mype[d]==pe)
#endif
#define CLRD(d) oT[d]=0;mype[d]=0;pend[d]=0;dW[d]=0;dR[d]=0;dE[d]=0;dS[d]=0;pSeq[d]=0;pBm[d]=0;pXm[d]=0;pW[d]=0;pR[d]=0
#define CLRT(t) op[t]=0;tS[t]=0;tW[t]=0;tR[t]=0;tD[t]=0
#define CLRM e=0;s=0;bm=0;xm=0;w=0;r=0;fw=0;fr=0
byte now_=0, pgRev=0, xFrom=NOX, pgEpoch=1, pgOwner=0;
byte pe=0, kW=0, kR=0, kE=0, kS=0;
byte fB[T+1], fX[T+1];
byte mype[2], dW[2], dR[2], dE[2], dS[2];
byte oT[2]; /* the ticker, plus one, whose open waits to be durable */
bool pend[2]; byte pSeq[2], pBm[2], pXm[2], pW[2], pR[2];
byte tE[2], tS[2], tW[2], tR[2], tRev[2], tD[2]; bool op[2];
chan f = [CAP] of { bit, byte, byte, byte, byte, byte, byte, byte, byte }; /* d, epoch, seq, Bmask, Xmask, W, R, fromW, fromR */
byte e,s,bm,xm,w,r,i,fw,fr; bit md;
inline apply(d){
  i=1; do :: i<=T -> if :: (pBm[d]>>i)&1 -> fB[i]++; assert(fB[i]<=1) :: else fi;
                     if :: (pXm[d]>>i)&1 -> fX[i]++; assert(fX[i]<=1) :: else fi; i++ :: else -> break od;
  kW=pW[d]; kR=pR[d]; kS=pSeq[d];
  i=1; do :: i<=T -> if :: i<=kW -> assert(fB[i]==1);
                              if :: kR==1 && i>xFrom -> assert(fX[i]==1) :: else fi
                        :: else -> assert(fB[i]==0) fi;
                     if :: i<=xFrom -> assert(fX[i]==0) :: else fi; i++ :: else -> break od; i=0 }
inline masks(t){ bm=0; xm=0; i=1;
  do :: i<=now_ -> if :: i>tW[t] -> bm=bm|(1<<i) :: else fi;
     if :: tRev[t]==1 && i>xFrom && LATEC(t) -> xm=xm|(1<<i) :: else fi; i++ :: else -> break od; i=0 }
inline open(t,d){ atomic{ tE[t]>0 && mype[d]!=0 && !pend[d] && oT[d]==0 -> CLRT(t);
     if :: EPO(d) -> dE[d]=tE[t]; oT[d]=t+1 :: else fi } }
/* The epoch is durable; the answer arrives or is lost, and counts if the ticker still has that epoch. */
inline opened(d){ atomic{ oT[d]!=0 && !pend[d] ->
     if :: LIVE(d) -> kE=dE[d];
          if :: tE[oT[d]-1]==dE[d] -> op[oT[d]-1]=1; tD[oT[d]-1]=d; tS[oT[d]-1]=dS[d]; tW[oT[d]-1]=dW[d]; tR[oT[d]-1]=dR[d] :: skip fi;
          oT[d]=0
        :: else -> CLRD(d) fi } }
inline publish(t){ atomic{ op[t] && (now_>tW[t] || tRev[t]>tR[t]) && REVG(t) && len(f)<CAP ->
     masks(t); tS[t]++; f!tD[t],tE[t],tS[t],bm,xm,now_,tRev[t],tW[t],tR[t]; tW[t]=now_; tR[t]=tRev[t]; bm=0; xm=0 } }
inline handle(){ if :: mype[md]!=0 && !pend[md] && EPV(md) && CAS(md) -> pend[md]=1; pSeq[md]=s; pBm[md]=bm; pXm[md]=xm; pW[md]=w; pR[md]=r
                    :: else fi; CLRM; md=0 }
inline commit(d){ atomic{ pend[d] -> if :: LIVE(d) -> apply(d); kE=dE[d]; dW[d]=pW[d]; dR[d]=pR[d]; dS[d]=pSeq[d]; pend[d]=0; pSeq[d]=0;pBm[d]=0;pXm[d]=0;pW[d]=0;pR[d]=0
                                  :: !LIVE(d) -> CLRD(d) fi } }
inline take(d){ atomic{ pe<MAXPE -> CLRD(d); pe++; mype[d]=pe; dW[d]=kW; dR[d]=kR; dS[d]=kS;
#ifdef EPOCH_VOLATILE
     dE[d]=0
#else
     dE[d]=kE
#endif
     } }
active proctype sys(){
do
:: atomic{ now_<T -> now_++ }
:: atomic{ pgRev==0 && now_<T -> pgRev=1; xFrom=now_ }
:: atomic{ pgEpoch<MAXE -> pgEpoch++; pgOwner=1-pgOwner }
:: take(0)
:: take(1)
:: atomic{ tE[pgOwner]<pgEpoch -> tE[pgOwner]=pgEpoch; tRev[pgOwner]=0; CLRT(pgOwner) }
:: atomic{ tE[0]>0 && tRev[0]<pgRev -> tRev[0]=pgRev }
:: atomic{ tE[1]>0 && tRev[1]<pgRev -> tRev[1]=pgRev }
:: open(0,0)
:: open(0,1)
:: open(1,0)
:: open(1,1)
:: publish(0)
:: publish(1)
:: atomic{ len(f)>0 -> f?md,e,s,bm,xm,w,r,fw,fr; CLRM; md=0 } /* lost */
:: atomic{ len(f)>0 -> f?md,e,s,bm,xm,w,r,fw,fr; handle() }
:: atomic{ len(f)==2 -> f?md,e,s,bm,xm,w,r,fw,fr; f!md,e,s,bm,xm,w,r,fw,fr; f?md,e,s,bm,xm,w,r,fw,fr; handle() } /* overtaking */
:: opened(0)
:: opened(1)
:: commit(0)
:: commit(1)
:: atomic{ mype[0]!=0 -> CLRD(0) } /* crash */
:: atomic{ mype[1]!=0 -> CLRD(1) }
od }
